use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

use super::LoadReport;
use super::latency::Latencies;
use super::rate::Rate;
use crate::InvalidSetting;
use crate::time::{now, since_epoch};

/// Measures a backend's load where it arises, for the backend to report.
///
/// Clones share everything; a clone costs one reference count. A [`report`](Self::report) says:
///
/// | part | is |
/// | --- | --- |
/// | in flight | the requests that were started and whose guards are not dropped |
/// | latency | how long a request will take that comes now |
/// | service time | how long one takes that meets no other |
/// | requests per second | those that were answered, have failed, or were given up, over the last 10 s |
/// | errors per second | those that have failed, over the last 10 s |
/// | application utilization | what was [set](Self::set_utilization), or in flight / [capacity](Self::capacity): the larger |
/// | CPU and memory utilization | what was [set](Self::set_cpu_utilization) |
///
/// What is not known is left out.
///
/// # Algorithm
///
/// *Latency* is that of Prequal's servers: the median of recent answers to requests that found about
/// as many others in flight as are in flight now. Each answer is filed under the requests in flight
/// at its arrival: exactly up to 16, then in steps of an eighth at most. Of each step the last 32
/// answers are kept, for a minute. A report looks at the step of a request that would come now, then at
/// its neighbours on both sides, further and further away, until it has 16 answers. *Service time* is
/// the same for a request that would come alone. Failed and
/// cancelled requests are no answers: that they end early does not make a backend fast.
///
/// *Rates* are counted in seconds: the ten that are over and the one that runs. Of a meter that is
/// younger, the rates are those of its life, taken as one second at least.
///
/// # Cost
///
/// A request costs about ten atomic operations and two readings of the clock, 0.2 µs in all, and a
/// report as much. Neither locks or allocates. A meter takes 63 KB.
///
/// # References
///
/// Wydrowski, Kleinberg, Rumble, Archer: *Load is not what you should balance: Introducing
/// Prequal*, NSDI 2024, section 4.2.
///
/// # Examples
///
/// ```
/// use evenkeel::load::LoadMeter;
///
/// let meter = LoadMeter::new().capacity(4)?;
/// let mut request = meter.start();
/// assert_eq!(meter.report().in_flight(), Some(1));
/// assert_eq!(meter.report().application_utilization(), Some(0.25));
///
/// // The answer is there: it took so long.
/// request.answered();
/// drop(request);
/// let report = meter.report();
/// assert_eq!(report.in_flight(), Some(0));
/// assert_eq!(report.requests_per_second(), Some(1.0));
/// assert!(report.latency().is_some());
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LoadMeter {
    shared: Arc<Shared>,
}

/// `Relaxed` throughout: each number stands for itself.
#[derive(Debug)]
struct Shared {
    in_flight: AtomicU32,
    /// 0 is not known.
    capacity: AtomicU32,
    application_utilization: Number,
    cpu_utilization: Number,
    memory_utilization: Number,
    latencies: Latencies,
    requests: Rate,
    errors: Rate,
}

/// A number that may be missing: an `f64`, which is not a number then.
#[derive(Debug)]
struct Number(AtomicU64);

/// A request that is in flight at a backend, from [`LoadMeter::start`], until it is dropped.
///
/// Dropped without a word, as when its caller has left, it is over and counts for the rate of
/// requests, but not as an answer.
///
/// # Examples
///
/// ```
/// use evenkeel::load::LoadMeter;
///
/// fn handle(meter: &LoadMeter, work: impl FnOnce() -> Result<String, String>) -> Result<String, String> {
///     let mut request = meter.start();
///     let result = work();
///     match &result {
///         Ok(_) => request.answered(),
///         Err(_) => request.failed(),
///     }
///     result
/// }
///
/// let meter = LoadMeter::new();
/// assert!(handle(&meter, || Err("no disk".to_owned())).is_err());
/// let report = meter.report();
/// assert_eq!((report.in_flight(), report.errors_per_second()), (Some(0), Some(1.0)));
/// assert_eq!(report.latency(), None);
/// ```
#[derive(Debug)]
#[must_use = "dropping it ends the request"]
pub struct Guard {
    meter: LoadMeter,
    /// In nanoseconds.
    since: u64,
    /// Requests in flight at its arrival, itself included.
    arrival: u32,
    told: Told,
}

/// What is known of a request. Only more is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Nothing,
    Answered,
    Failed,
}

impl LoadMeter {
    /// Measures from now on; nothing is in flight.
    pub fn new() -> Self {
        Self::new_at(now())
    }

    pub(crate) fn new_at(now: Instant) -> Self {
        let now = since_epoch(now);
        Self {
            shared: Arc::new(Shared {
                in_flight: AtomicU32::new(0),
                capacity: AtomicU32::new(0),
                application_utilization: Number::missing(),
                cpu_utilization: Number::missing(),
                memory_utilization: Number::missing(),
                latencies: Latencies::new(),
                requests: Rate::since(now),
                errors: Rate::since(now),
            }),
        }
    }

    /// Sets how many requests the backend can work on at once, for all clones: with so many in
    /// flight its utilization is 1. Default: not known.
    ///
    /// # Errors
    ///
    /// If it is 0, or more than `u32::MAX`.
    pub fn capacity(self, requests: usize) -> Result<Self, InvalidSetting> {
        let Ok(capacity @ 1..) = u32::try_from(requests) else {
            let expected = "1 to 4294967295";
            return Err(InvalidSetting::new("capacity", requests, expected));
        };
        self.shared.capacity.store(capacity, Ordering::Relaxed);
        Ok(self)
    }

    /// Sets the utilization as the application sees it, for all clones, until it is set again: 1 is
    /// what it can take, and it can be more.
    ///
    /// A number that is negative, infinite or not a number takes back what was set.
    pub fn set_utilization(&self, utilization: f64) {
        self.shared.application_utilization.set(utilization);
    }

    /// Sets the utilization of the processors that the backend may use, likewise: 1 is all of them.
    pub fn set_cpu_utilization(&self, utilization: f64) {
        self.shared.cpu_utilization.set(utilization);
    }

    /// Sets the share of its memory that is used, likewise.
    pub fn set_memory_utilization(&self, utilization: f64) {
        self.shared.memory_utilization.set(utilization);
    }

    /// Counts a request in, until the guard is dropped.
    pub fn start(&self) -> Guard {
        self.start_at(now())
    }

    pub(crate) fn start_at(&self, now: Instant) -> Guard {
        let before = self.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        Guard {
            meter: self.clone(),
            since: since_epoch(now),
            arrival: before.saturating_add(1),
            told: Told::Nothing,
        }
    }

    /// Returns how many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.shared.in_flight.load(Ordering::Relaxed) as usize
    }

    /// Says how things are now.
    pub fn report(&self) -> LoadReport {
        self.report_at(now())
    }

    pub(crate) fn report_at(&self, now: Instant) -> LoadReport {
        let now = since_epoch(now);
        let shared = &*self.shared;
        let in_flight = shared.in_flight.load(Ordering::Relaxed);
        // A setter takes no number that is none, which is what stands for one that is missing.
        let mut report = LoadReport::new()
            .with_in_flight(in_flight)
            .with_requests_per_second(shared.requests.per_second(now))
            .with_errors_per_second(shared.errors.per_second(now))
            .with_application_utilization(shared.utilization(in_flight))
            .with_cpu_utilization(shared.cpu_utilization.get())
            .with_memory_utilization(shared.memory_utilization.get());
        // That of one more.
        let arrival = in_flight.saturating_add(1);
        if let Some(latency) = shared.latencies.at(arrival, now) {
            report = report.with_latency(latency);
        }
        if let Some(alone) = shared.latencies.at(1, now) {
            report = report.with_service_time(alone);
        }
        report
    }
}

impl Default for LoadMeter {
    fn default() -> Self {
        Self::new()
    }
}

impl Shared {
    /// Not a number, if nothing is known.
    fn utilization(&self, in_flight: u32) -> f64 {
        let set = self.application_utilization.get();
        match self.capacity.load(Ordering::Relaxed) {
            0 => set,
            capacity => (f64::from(in_flight) / f64::from(capacity)).max(set),
        }
    }
}

impl Number {
    fn missing() -> Self {
        Self(AtomicU64::new(f64::NAN.to_bits()))
    }

    fn set(&self, value: f64) {
        let valid = value.is_finite() && value >= 0.0;
        let value = if valid { value } else { f64::NAN };
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Guard {
    /// Notes that the answer is there, or its head if it is a long one. The request stays in flight
    /// until this is dropped. Only the first word counts.
    pub fn answered(&mut self) {
        self.answered_at(now());
    }

    pub(crate) fn answered_at(&mut self, now: Instant) {
        if self.told == Told::Nothing {
            self.told = Told::Answered;
            let now = since_epoch(now);
            let latency = now.saturating_sub(self.since);
            self.meter.shared.latencies.note(self.arrival, latency, now);
            self.meter.shared.requests.count(now);
        }
    }

    /// Notes that the request has failed. That can still be after it was
    /// [answered](Self::answered), when the rest of the answer cannot be sent.
    pub fn failed(&mut self) {
        self.failed_at(now());
    }

    pub(crate) fn failed_at(&mut self, now: Instant) {
        let now = since_epoch(now);
        if self.told == Told::Nothing {
            self.meter.shared.requests.count(now);
        }
        if self.told != Told::Failed {
            self.told = Told::Failed;
            self.meter.shared.errors.count(now);
        }
    }
}

impl Guard {
    /// Returns the meter that counts it.
    pub fn meter(&self) -> &LoadMeter {
        &self.meter
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.meter.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.told == Told::Nothing {
            self.meter.shared.requests.count(since_epoch(now()));
        }
    }
}

#[cfg(test)]
mod tests;
