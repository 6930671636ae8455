use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

/// What came of a run.
///
/// Unless it says otherwise, all of it is about the requests that were measured: those that arrived
/// after the [warm-up](super::ScenarioBuilder::warm_up).
///
/// A latency is the time from a request's arrival at its client to the response there. A request
/// that [timed out](Self::timeouts) counts with the timeout; one that [failed](Self::failures) does
/// not count, since to fail fast is no success.
///
/// It displays as a row of a table, whose head is [`HEAD`](Self::HEAD).
///
/// # Examples
///
/// ```
/// use evenkeel::picker::LeastRequests;
/// use evenkeel::sim::{Report, Scenario};
///
/// let scenario = Scenario::builder(10).requests(20_000).build()?;
/// let report = scenario.run(1, |_client| LeastRequests::new());
/// println!("{}\n{report}", Report::HEAD);
///
/// let unit = scenario.mean_service_time();
/// println!("p99: {:.1} service times", report.percentile(99.0).div_duration_f64(unit));
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Report {
    pub(super) seed: u64,
    /// In nanoseconds.
    pub(super) latencies: Histogram<u64>,
    pub(super) mean: Duration,
    pub(super) requests: u64,
    pub(super) timeouts: u64,
    pub(super) failures: u64,
    pub(super) unserved: u64,
    pub(super) executions: u64,
    pub(super) probes: u64,
    pub(super) served: Vec<u64>,
    pub(super) periods: Vec<Period>,
    pub(super) length: Duration,
}

impl Report {
    /// The head of the table of which reports are rows. Latencies are in milliseconds.
    pub const HEAD: &str = "      mean       p50       p90       p99     p99.9    p99.99  timeouts  \
                            failures  probes  max/avg";

    /// Returns the latency that so many percent of the requests did not exceed, 0 to 100, to within
    /// 0.1 %: 99.9 for the slowest of a thousand. Zero if there were none.
    pub fn percentile(&self, percent: f64) -> Duration {
        let quantile = (percent / 100.0).clamp(0.0, 1.0);
        Duration::from_nanos(self.latencies.value_at_quantile(quantile))
    }

    /// Returns the mean latency.
    pub fn mean(&self) -> Duration {
        self.mean
    }

    /// Returns the highest latency, to within 0.1 %.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.latencies.max())
    }

    /// Returns the histogram of latencies: values, each with how many requests had it, to within
    /// 0.1 %. Values that none had are left out.
    pub fn latencies(&self) -> impl Iterator<Item = (Duration, u64)> {
        let recorded = self.latencies.iter_recorded();
        recorded.map(|value| {
            let latency = Duration::from_nanos(value.value_iterated_to());
            (latency, value.count_at_value())
        })
    }

    /// Returns the seed of the run.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns how many requests were measured.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Returns how many were given up by their client.
    pub fn timeouts(&self) -> u64 {
        self.timeouts
    }

    /// Returns how many were answered with a failure.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// Returns for how many the picker had nobody to pick.
    pub fn unserved(&self) -> u64 {
        self.unserved
    }

    /// Returns how often a request was sent to a server, on average.
    pub fn executions_per_request(&self) -> f64 {
        self.per_request(self.executions)
    }

    /// Returns how many probes were sent for a request, on average.
    pub fn probes_per_request(&self) -> f64 {
        self.per_request(self.probes)
    }

    /// Returns how many requests were sent to each server.
    pub fn served(&self) -> &[u64] {
        &self.served
    }

    /// Returns which share of the requests a server got, 0 to 1.
    pub fn share(&self, server: usize) -> f64 {
        let count = self.served.get(server).copied();
        self.per_request(count.unwrap_or(0))
    }

    /// Returns how much more the busiest server got than the average of all.
    pub fn max_over_average(&self) -> f64 {
        let most = self.served.iter().copied().max();
        let average = self.executions as f64 / self.served.len() as f64;
        if average > 0.0 {
            most.unwrap_or(0) as f64 / average
        } else {
            0.0
        }
    }

    /// Returns what happened over time, warm-up included: 60 periods of as many requests each, less
    /// if there are fewer.
    pub fn periods(&self) -> &[Period] {
        &self.periods
    }

    /// Returns how long it all took, in virtual time.
    pub fn length(&self) -> Duration {
        self.length
    }

    fn per_request(&self, count: u64) -> f64 {
        if self.requests == 0 {
            return 0.0;
        }
        count as f64 / self.requests as f64
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |latency: Duration| latency.as_secs_f64() * 1e3;
        write!(f, "{:10.2}", milliseconds(self.mean))?;
        for percent in [50.0, 90.0, 99.0, 99.9, 99.99] {
            write!(f, "{:10.2}", milliseconds(self.percentile(percent)))?;
        }
        write!(f, "{:10}{:10}", self.timeouts, self.failures)?;
        let (probes, most) = (self.probes_per_request(), self.max_over_average());
        write!(f, "{probes:8.2}{most:9.3}")
    }
}

/// A part of a run, for what changes over time.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::LeastRequests;
/// use evenkeel::sim::Scenario;
///
/// let scenario = Scenario::builder(10).requests(60_000).step(0.5, [3], 0.1).build()?;
/// let report = scenario.run(1, |_client| LeastRequests::new());
/// let (before, after) = report.periods().split_at(30);
/// assert!(before[29].share(3) > 0.05);
/// assert!(after[29].share(3) < 0.05);
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    pub(super) start: Duration,
    pub(super) requests: u64,
    pub(super) served: Vec<u64>,
    pub(super) answers: u64,
    pub(super) sum: f64,
}

impl Period {
    pub(super) fn new(servers: usize) -> Self {
        Self {
            start: Duration::ZERO,
            requests: 0,
            served: vec![0; servers],
            answers: 0,
            sum: 0.0,
        }
    }

    /// Returns when its first request arrived, in virtual time since the start.
    pub fn start(&self) -> Duration {
        self.start
    }

    /// Returns which share of its requests a server got, 0 to 1.
    pub fn share(&self, server: usize) -> f64 {
        let count = self.served.get(server).copied().unwrap_or(0);
        count as f64 / self.requests.max(1) as f64
    }

    /// Returns the mean latency of its requests, in the sense of the [`Report`].
    pub fn mean(&self) -> Duration {
        Duration::from_nanos((self.sum / self.answers.max(1) as f64) as u64)
    }
}
