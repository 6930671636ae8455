use std::time::Duration;

use crate::InvalidSetting;
use crate::time::CENTURY;

/// When a backend's own traffic takes it out, for how long, and how it comes back.
///
/// # Rules
///
/// | rule | looks at | default |
/// | --- | --- | --- |
/// | [`failures_in_a_row`](Self::failures_in_a_row) | each request | 5 |
/// | [`gateway_failures_in_a_row`](Self::gateway_failures_in_a_row) | each request | off |
/// | [`success_rate`](Self::success_rate) | an interval, beside the others | 1.9 standard deviations |
/// | [`failure_percentage`](Self::failure_percentage) | an interval | off |
/// | [`latency`](Self::latency) | an interval, beside the others | off |
///
/// The first two act at once, the others at the end of each [`interval`](Self::interval), on what
/// has ended in it. A success clears a run of failures. Requests that were cancelled or
/// [rejected](crate::backend::Outcome::Rejected) are neither successes nor failures. What is a
/// failure is decided by whoever [tracks](crate::balance::Track) the responses.
///
/// # Time
///
/// ```text
///             n-th time: min(base × 2^(n-1), max), and jitter          the trial succeeds
/// healthy ──> ejected ─────────────────────────────────────> on trial ───────────────────> healthy
///                ^                                              │
///                └──────────────────────────────────────────────┘ it fails, or gets no answer
/// ```
///
/// On trial, one request at a time is sent to the backend, if the picker picks it. Its success
/// takes the backend back; its failure ejects it for longer. A trial that is cancelled or rejected
/// is none, and the next request may be one. If no answer has come within an interval of the first
/// one, it failed; if nobody tried within an interval, the backend is taken back. What a trial of
/// the past has to say is ignored. After each interval without an ejection, n is one less.
///
/// # Bound
///
/// At most [`max_ejected`](Self::max_ejected) of the backends that no operator holds, rounded down,
/// but at least one, and never all: so a pool of one never ejects. Backends down by probes count.
/// When others leave, so that there are too many, those go back that are due first.
///
/// # Small pools
///
/// The rules that compare need five backends by default. With three or four, set
/// [`minimum_backends`](Self::minimum_backends) to 3, a factor of 1.3 for the success rate (the
/// worst of three is at most 1.41 standard deviations away), or use the failure percentage. Where
/// one of three may be out for long, see to it that the other two can take the load.
///
/// # Examples
///
/// ```
/// use evenkeel::health::Ejection;
/// use std::time::Duration;
///
/// let ejection = Ejection::new()
///     .failures_in_a_row(3)?
///     .latency(3.0, Duration::from_millis(100))?
///     .base_time(Duration::from_secs(10))?
///     .max_ejected(0.3)?;
/// # let _ = ejection;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Ejection {
    pub(super) failures_in_a_row: Option<u32>,
    pub(super) gateway_failures_in_a_row: Option<u32>,
    pub(super) success_rate: Option<f64>,
    pub(super) failure_percentage: Option<f64>,
    pub(super) latency: Option<SlowerThan>,
    pub(super) minimum_backends: usize,
    pub(super) minimum_requests: u64,
    pub(super) interval: Duration,
    pub(super) base_time: Duration,
    pub(super) max_time: Duration,
    pub(super) jitter: f64,
    pub(super) max_ejected: f64,
    pub(super) spare: Duration,
    pub(super) degraded_for: Duration,
}

/// What is too slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SlowerThan {
    /// Times the median.
    pub(super) factor: f64,
    pub(super) floor: Duration,
}

/// The longest that a `Retry-After` is heeded, as Linkerd does.
pub(super) const LONGEST_SPARING: Duration = Duration::from_secs(300);

impl Ejection {
    /// The defaults, which each setting names.
    pub fn new() -> Self {
        Self {
            failures_in_a_row: Some(5),
            gateway_failures_in_a_row: None,
            success_rate: Some(1.9),
            failure_percentage: None,
            latency: None,
            minimum_backends: 5,
            minimum_requests: 100,
            interval: Duration::from_secs(10),
            base_time: Duration::from_secs(30),
            max_time: Duration::from_secs(300),
            jitter: 0.1,
            max_ejected: 0.1,
            spare: Duration::from_secs(1),
            degraded_for: Duration::from_secs(10),
        }
    }

    /// Ejects a backend at its n-th failure in a row, of whatever kind. Default 5; `None` turns it
    /// off.
    ///
    /// # Errors
    ///
    /// When it is 0.
    pub fn failures_in_a_row(
        mut self,
        failures: impl Into<Option<u32>>,
    ) -> Result<Self, InvalidSetting> {
        self.failures_in_a_row = in_a_row(failures.into())?;
        Ok(self)
    }

    /// Ejects a backend at the n-th request in a row that found no connection, no answer in time,
    /// or a gateway's complaint ([`Connect`](crate::backend::Failure::Connect),
    /// [`Timeout`](crate::backend::Failure::Timeout),
    /// [`Gateway`](crate::backend::Failure::Gateway)): such failures say more than others, so n can
    /// be smaller. Default: off.
    ///
    /// # Errors
    ///
    /// When it is 0.
    pub fn gateway_failures_in_a_row(
        mut self,
        failures: impl Into<Option<u32>>,
    ) -> Result<Self, InvalidSetting> {
        self.gateway_failures_in_a_row = in_a_row(failures.into())?;
        Ok(self)
    }

    /// Ejects backends whose success rate over an interval is below the mean of all by more than
    /// `factor` standard deviations (of the population), and by more than 5 percentage points.
    /// Default 1.9; `None` turns it off.
    ///
    /// With n backends, the worst can be at most √(n − 1) standard deviations away, and a single
    /// one is, if all others are the same: so one failure in a hundred would be enough without the
    /// 5 points, which Envoy does not have.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 100.
    pub fn success_rate(mut self, factor: impl Into<Option<f64>>) -> Result<Self, InvalidSetting> {
        self.success_rate = factor.into();
        within(
            "success-rate factor",
            self.success_rate,
            0.0..=100.0,
            "a number from 0 to 100",
        )?;
        Ok(self)
    }

    /// Ejects backends of whose requests, over an interval, at least so many per cent failed.
    /// Default: off.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 100.
    pub fn failure_percentage(
        mut self,
        percent: impl Into<Option<f64>>,
    ) -> Result<Self, InvalidSetting> {
        self.failure_percentage = percent.into();
        let expected = "per cent from 0 to 100";
        within(
            "failure percentage",
            self.failure_percentage,
            0.0..=100.0,
            expected,
        )?;
        Ok(self)
    }

    /// Ejects backends that are slower, over an interval, than `factor` times the median of all,
    /// and than `floor`. Default: off.
    ///
    /// A backend's latency is the mean of the time to the response head, over one in eight of its
    /// requests: those that were answered in the interval, those that were given up after waiting
    /// longer than usual, and those that still wait. So a backend that hangs is slow. It costs
    /// about 10 ns for each request, on average, unless the picker measures latency anyway.
    ///
    /// # Errors
    ///
    /// When the factor is not from 1 to 1000.
    pub fn latency(mut self, factor: f64, floor: Duration) -> Result<Self, InvalidSetting> {
        within(
            "latency factor",
            Some(factor),
            1.0..=1000.0,
            "a number from 1 to 1000",
        )?;
        self.latency = Some(SlowerThan { factor, floor });
        Ok(self)
    }

    /// Sets how many backends must have had enough requests in an interval for them to be compared
    /// (and, for the failure percentage, to be looked at). Default 5.
    ///
    /// # Errors
    ///
    /// When it is 0.
    pub fn minimum_backends(mut self, backends: usize) -> Result<Self, InvalidSetting> {
        if backends == 0 {
            return Err(InvalidSetting::new(
                "minimum of backends",
                backends,
                "at least 1",
            ));
        }
        self.minimum_backends = backends;
        Ok(self)
    }

    /// Sets how many requests a backend must have had in an interval for its rates to say anything;
    /// of measured ones, for latency, an eighth of it. Default 100.
    ///
    /// # Errors
    ///
    /// When it is 0.
    pub fn minimum_requests(mut self, requests: u64) -> Result<Self, InvalidSetting> {
        if requests == 0 {
            return Err(InvalidSetting::new(
                "minimum of requests",
                requests,
                "at least 1",
            ));
        }
        self.minimum_requests = requests;
        Ok(self)
    }

    /// Sets the length of an interval. Default 10 s.
    ///
    /// # Errors
    ///
    /// When it is less than 1 ms.
    pub fn interval(mut self, interval: Duration) -> Result<Self, InvalidSetting> {
        self.interval = self::interval("ejection interval", interval)?;
        Ok(self)
    }

    /// Sets how long the first ejection lasts. Default 30 s.
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn base_time(mut self, base: Duration) -> Result<Self, InvalidSetting> {
        self.base_time = positive("ejection base time", base)?;
        Ok(self)
    }

    /// Sets the longest that an ejection lasts, before jitter, unless the base time is longer.
    /// Default 300 s.
    pub fn max_time(mut self, max: Duration) -> Self {
        self.max_time = max.min(CENTURY);
        self
    }

    /// Sets by what part of itself an ejection is longer at most, by chance, so that not all
    /// programs try a backend at once. Default 0.1.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 1.
    pub fn jitter(mut self, jitter: f64) -> Result<Self, InvalidSetting> {
        within(
            "ejection jitter",
            Some(jitter),
            0.0..=1.0,
            "a part from 0 to 1",
        )?;
        self.jitter = jitter;
        Ok(self)
    }

    /// Sets the share of backends that may be ejected at once; see [above](Self#bound). Default
    /// 0.1.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 1.
    pub fn max_ejected(mut self, share: f64) -> Result<Self, InvalidSetting> {
        within(
            "share of ejected backends",
            Some(share),
            0.0..=1.0,
            "a share from 0 to 1",
        )?;
        self.max_ejected = share;
        Ok(self)
    }

    /// Sets how long a backend that [rejects](crate::backend::Outcome::Rejected) a request is
    /// spared, if it does not say so itself
    /// ([`retry_after`](crate::backend::Completion::retry_after), up to 300 s): it gets a tenth of
    /// its share, and starts slowly from there, if the pool's
    /// [rules](crate::set::Rules::slow_start) say so. It is not ejected. Default 1 s; zero turns it
    /// off.
    pub fn spare(mut self, time: Duration) -> Self {
        self.spare = time.min(CENTURY);
        self
    }

    /// Sets how long a backend counts as degraded after a response that
    /// [said so](crate::backend::Completion::degraded). Default 10 s.
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn degraded_for(mut self, time: Duration) -> Result<Self, InvalidSetting> {
        self.degraded_for = positive("time of degradation", time)?;
        Ok(self)
    }

    /// No rule at all: only what backends say themselves is heeded, [`spare`](Self::spare) and
    /// [`degraded_for`](Self::degraded_for).
    pub fn none() -> Self {
        Self {
            failures_in_a_row: None,
            success_rate: None,
            ..Self::new()
        }
    }
}

impl Default for Ejection {
    fn default() -> Self {
        Self::new()
    }
}

fn in_a_row(failures: Option<u32>) -> Result<Option<u32>, InvalidSetting> {
    match failures {
        Some(0) => Err(InvalidSetting::new(
            "number of failures in a row",
            0,
            "at least 1, or none",
        )),
        other => Ok(other),
    }
}

fn within(
    what: &'static str,
    given: Option<f64>,
    range: std::ops::RangeInclusive<f64>,
    expected: &'static str,
) -> Result<(), InvalidSetting> {
    match given {
        Some(given) if !range.contains(&given) => Err(InvalidSetting::new(what, given, expected)),
        _ => Ok(()),
    }
}

pub(super) fn positive(what: &'static str, given: Duration) -> Result<Duration, InvalidSetting> {
    if given.is_zero() {
        let expected = "a time above zero";
        return Err(InvalidSetting::new(
            what,
            format_args!("{given:?}"),
            expected,
        ));
    }
    Ok(given.min(CENTURY))
}

/// For what happens again and again.
pub(super) fn interval(what: &'static str, given: Duration) -> Result<Duration, InvalidSetting> {
    if given < Duration::from_millis(1) {
        let expected = "at least 1 ms";
        return Err(InvalidSetting::new(
            what,
            format_args!("{given:?}"),
            expected,
        ));
    }
    positive(what, given)
}
