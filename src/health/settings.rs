use std::time::Duration;

use super::ejection::{interval, positive};
use crate::InvalidSetting;

/// How often backends are probed, and how many answers it takes to change one's mind.
///
/// ```text
///            first success                 `fall` failures in a row
/// unchecked ──────────────> healthy ────────────────────────────────> unhealthy
///                          or degraded <────────────────────────────
///                                         `rise` successes in a row
/// ```
///
/// # Examples
///
/// ```
/// use evenkeel::health::ProbeSettings;
/// use std::time::Duration;
///
/// let settings = ProbeSettings::new()
///     .interval(Duration::from_secs(10))?
///     .timeout(Duration::from_secs(1))?
///     .fall(2)?
///     .gated();
///
/// let error = settings.rise(0).unwrap_err();
/// assert_eq!(error.to_string(), "invalid number of successes 0: expected at least 1");
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct ProbeSettings {
    pub(super) interval: Duration,
    changing_interval: Option<Duration>,
    idle_interval: Option<Duration>,
    pub(super) jitter: f64,
    pub(super) timeout: Duration,
    pub(super) rise: u32,
    pub(super) fall: u32,
    pub(super) gated: bool,
    pub(super) concurrency: usize,
}

impl ProbeSettings {
    /// The defaults, which each setting names.
    pub fn new() -> Self {
        Self {
            interval: Duration::from_secs(5),
            changing_interval: None,
            idle_interval: None,
            jitter: 0.1,
            timeout: Duration::from_secs(2),
            rise: 2,
            fall: 3,
            gated: false,
            concurrency: 512,
        }
    }

    /// Sets the time from the end of a probe to the next. Default 5 s.
    ///
    /// The first probe of a backend is sent at once, the second at a random time within the
    /// interval, so that not all are probed at the same moment from then on.
    ///
    /// # Errors
    ///
    /// When it is less than 1 ms.
    pub fn interval(mut self, interval: Duration) -> Result<Self, InvalidSetting> {
        self.interval = self::interval("probe interval", interval)?;
        Ok(self)
    }

    /// Sets the interval while a state is changing: after a failure of one that is healthy, a
    /// success of one that is not, or a failure of one that was never well. Default: a fifth of the
    /// [`interval`](Self::interval), 1 s.
    ///
    /// # Errors
    ///
    /// When it is less than 1 ms.
    pub fn changing_interval(mut self, interval: Duration) -> Result<Self, InvalidSetting> {
        self.changing_interval = Some(self::interval("probe interval", interval)?);
        Ok(self)
    }

    /// Sets the interval while no request has ended at any backend of the pools since the last
    /// probe. Default: the [`interval`](Self::interval).
    ///
    /// # Errors
    ///
    /// When it is less than 1 ms.
    pub fn idle_interval(mut self, interval: Duration) -> Result<Self, InvalidSetting> {
        self.idle_interval = Some(self::interval("probe interval", interval)?);
        Ok(self)
    }

    /// Sets by what part of itself an interval is longer at most, by chance. Default 0.1.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 1.
    pub fn jitter(mut self, jitter: f64) -> Result<Self, InvalidSetting> {
        if !(0.0..=1.0).contains(&jitter) {
            return Err(InvalidSetting::new(
                "probe jitter",
                jitter,
                "a part from 0 to 1",
            ));
        }
        self.jitter = jitter;
        Ok(self)
    }

    /// Sets how long a probe may take; then it has failed. Default 2 s.
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn timeout(mut self, timeout: Duration) -> Result<Self, InvalidSetting> {
        self.timeout = positive("probe time-out", timeout)?;
        Ok(self)
    }

    /// Sets how many successes in a row make an unhealthy backend healthy. Default 2.
    ///
    /// # Errors
    ///
    /// When it is 0.
    pub fn rise(mut self, successes: u32) -> Result<Self, InvalidSetting> {
        self.rise = count("number of successes", successes)?;
        Ok(self)
    }

    /// Sets how many failures in a row make a backend unhealthy. Default 3.
    ///
    /// # Errors
    ///
    /// When it is 0.
    pub fn fall(mut self, failures: u32) -> Result<Self, InvalidSetting> {
        self.fall = count("number of failures", failures)?;
        Ok(self)
    }

    /// Gives a backend no requests until it has passed its first probe. Default: a backend is
    /// trusted until probes say otherwise.
    ///
    /// Those that are there when the watch begins count as not healthy until then, so that a pool
    /// [panics](crate::set::Rules::panic_threshold), and uses all of them, until half are known to
    /// be well; with a threshold of 0, requests wait. Those that join later do not count before
    /// they have been checked, so that many of them make no panic.
    pub fn gated(mut self) -> Self {
        self.gated = true;
        self
    }

    /// Sets how many probes may run at once. Default 512. More than that wait for their turn.
    ///
    /// # Errors
    ///
    /// When it is 0.
    pub fn concurrency(mut self, probes: usize) -> Result<Self, InvalidSetting> {
        if probes == 0 {
            return Err(InvalidSetting::new(
                "number of probes at once",
                probes,
                "at least 1",
            ));
        }
        self.concurrency = probes;
        Ok(self)
    }

    pub(super) fn while_changing(&self) -> Duration {
        let fifth = (self.interval / 5).max(Duration::from_millis(1));
        self.changing_interval.unwrap_or(fifth)
    }

    pub(super) fn while_idle(&self) -> Duration {
        self.idle_interval.unwrap_or(self.interval)
    }
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self::new()
    }
}

fn count(what: &'static str, given: u32) -> Result<u32, InvalidSetting> {
    if given == 0 {
        return Err(InvalidSetting::new(what, given, "at least 1"));
    }
    Ok(given)
}
