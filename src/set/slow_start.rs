use std::time::Duration;

use crate::InvalidSetting;
use crate::backend::Guard;

/// How a backend that is new, or back, comes to its full share.
///
/// # Algorithm
///
/// A time t after it joined, or was taken back from an ejection, a failed probe or an operator's
/// hands, its share is this part of a full one (Envoy's curve):
///
/// ```text
/// share(t) = max(minimum, (t / window) ^ (1 / aggression))
/// ```
///
/// A request that is picked for it is passed over with the probability that it lacks, and picked
/// for again among the others. So it gets between w / n and w / (n − 1 + w) of the requests, with a
/// share of w among n backends, under every picker, your own included, and from the first request
/// on. For a pick [by a key](crate::picker::hash) the coin comes from the key and the backend: a
/// key moves once, and then stays.
///
/// Pickers that go by load see its requests in flight as if they filled a backend of that size, so
/// that one that starts idle is not flooded.
///
/// Backends that start together (a whole new pool, say) share evenly: the shares are divided by
/// the largest of them.
///
/// # Cost
///
/// While a backend starts slowly, a pick costs about 50 ns more, and an exact minimum is found by a
/// walk over all.
///
/// # Examples
///
/// ```
/// use evenkeel::set::{Rules, SlowStart};
/// use evenkeel::{Backend, Pool};
/// use std::time::Duration;
///
/// let pool = Pool::from([Backend::new("a", ())]);
/// let slow_start = SlowStart::new(Duration::from_secs(30))?.minimum(0.05)?;
/// pool.set_rules(Rules::new().slow_start(slow_start));
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct SlowStart {
    /// In nanoseconds.
    window: u64,
    minimum: f64,
    aggression: f64,
}

/// What is left of a full share for a backend that asks to be spared, and where a slow start
/// begins by default.
pub(crate) const MINIMUM: f64 = 0.1;

impl SlowStart {
    /// A linear ramp over `window`, from 10 % of a full share.
    ///
    /// # Errors
    ///
    /// When the window is zero or longer than a day.
    pub fn new(window: Duration) -> Result<Self, InvalidSetting> {
        if window.is_zero() || window > Duration::from_secs(24 * 3600) {
            let given = format_args!("{window:?}");
            let expected = "more than zero and at most a day";
            return Err(InvalidSetting::new("slow-start window", given, expected));
        }
        Ok(Self {
            window: window.as_nanos() as u64,
            minimum: MINIMUM,
            aggression: 1.0,
        })
    }

    /// Sets where it begins, as a part of a full share. Default 0.1.
    ///
    /// # Errors
    ///
    /// When it is not above 0 and at most 1.
    pub fn minimum(mut self, minimum: f64) -> Result<Self, InvalidSetting> {
        if !(minimum > 0.0 && minimum <= 1.0) {
            let expected = "a number above 0 and at most 1";
            return Err(InvalidSetting::new("slow-start minimum", minimum, expected));
        }
        self.minimum = minimum;
        Ok(self)
    }

    /// Sets the curve: 1, the default, is linear; a larger number rises faster at first.
    ///
    /// # Errors
    ///
    /// When it is not from 0.01 to 100.
    pub fn aggression(mut self, aggression: f64) -> Result<Self, InvalidSetting> {
        if !(0.01..=100.0).contains(&aggression) {
            let expected = "a number from 0.01 to 100";
            return Err(InvalidSetting::new(
                "slow-start aggression",
                aggression,
                expected,
            ));
        }
        self.aggression = aggression;
        Ok(self)
    }

    /// In nanoseconds.
    pub(super) fn window(self) -> u64 {
        self.window
    }

    /// The part of a full share, so many nanoseconds after it began.
    pub(super) fn share(self, elapsed: u64) -> f64 {
        if elapsed >= self.window {
            return 1.0;
        }
        let passed = elapsed as f64 / self.window as f64;
        passed.powf(1.0 / self.aggression).max(self.minimum)
    }
}

/// The part of a full share that a backend gets, as its gate says.
pub(crate) fn share(guard: Guard, slow_start: Option<SlowStart>, now: u64) -> f64 {
    let since = match guard {
        Guard::Open | Guard::Trial { .. } => return 1.0,
        Guard::Restrained { until } if now < until => return MINIMUM,
        Guard::Restrained { until: since } | Guard::Ramping { since } => since,
    };
    slow_start.map_or(1.0, |slow_start| {
        slow_start.share(now.saturating_sub(since))
    })
}
