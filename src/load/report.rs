use std::time::Duration;

/// What a backend says of its own load, on a response or as the answer to a probe.
///
/// Every part is optional. Pickers that observe get it with [`Event::Reported`](crate::backend::Event::Reported)
/// and [`Event::Probed`](crate::backend::Event::Probed).
///
/// The names and meanings are those of ORCA (Open Request Cost Aggregation, `OrcaLoadReport`), plus
/// requests in flight and latency, which ORCA leaves to its named metrics.
///
/// A number that is negative, infinite or not a number is not taken: the part stays unset.
///
/// # Examples
///
/// ```
/// use evenkeel::load::LoadReport;
///
/// let report = LoadReport::new().with_in_flight(3).with_cpu_utilization(0.42);
/// assert_eq!(report.in_flight(), Some(3));
/// assert_eq!(report.utilization(), Some(0.42));
/// assert_eq!(LoadReport::new().with_requests_per_second(f64::NAN), LoadReport::new());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[must_use]
pub struct LoadReport {
    in_flight: Option<u32>,
    latency: Option<Duration>,
    service_time: Option<Duration>,
    application_utilization: Option<f64>,
    cpu_utilization: Option<f64>,
    memory_utilization: Option<f64>,
    requests_per_second: Option<f64>,
    errors_per_second: Option<f64>,
}

/// A setter and a getter for each number.
macro_rules! numbers {
    ($($(#[$doc:meta])* $with:ident $name:ident,)+) => {$(
        $(#[$doc])*
        pub fn $with(mut self, value: f64) -> Self {
            if is_a_load(value) {
                self.$name = Some(value);
            }
            self
        }

        #[doc = concat!("Returns the [`", stringify!($name), "`](Self::", stringify!($with), ").")]
        pub fn $name(&self) -> Option<f64> {
            self.$name
        }
    )+};
}

impl LoadReport {
    /// Says nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many requests the backend works on or has queued. The request that the report
    /// comes with is one of them; a probe is not.
    pub fn with_in_flight(mut self, in_flight: u32) -> Self {
        self.in_flight = Some(in_flight);
        self
    }

    /// Returns the requests [in flight](Self::with_in_flight).
    pub fn in_flight(&self) -> Option<u32> {
        self.in_flight
    }

    /// Sets how long a request takes that comes now, with so many in flight.
    pub fn with_latency(mut self, latency: Duration) -> Self {
        self.latency = Some(latency);
        self
    }

    /// Returns the [latency](Self::with_latency).
    pub fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// Sets how long a request takes that meets no other: the latency without a queue.
    pub fn with_service_time(mut self, service_time: Duration) -> Self {
        self.service_time = Some(service_time);
        self
    }

    /// Returns the [service time](Self::with_service_time).
    pub fn service_time(&self) -> Option<Duration> {
        self.service_time
    }

    numbers! {
        /// Sets the utilization as the application sees it; 1 is what it can take, and it can be more.
        with_application_utilization application_utilization,
        /// Sets the utilization of the processors that it may use; 1 is all of them, and it can be
        /// more.
        with_cpu_utilization cpu_utilization,
        /// Sets the share of its memory that is used.
        with_memory_utilization memory_utilization,
        /// Sets the rate at which it answers requests.
        with_requests_per_second requests_per_second,
        /// Sets the rate at which requests fail.
        with_errors_per_second errors_per_second,
    }

    /// Returns the utilization to go by: the application's, or else the processors'.
    pub fn utilization(&self) -> Option<f64> {
        let application = self.application_utilization.filter(|&value| value > 0.0);
        application.or(self.cpu_utilization)
    }

    /// Returns whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::new()
    }
}

fn is_a_load(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}
