use std::time::Duration;

use crate::InvalidSetting;

/// How long to wait after the n-th failure in a row: doubling, with jitter.
///
/// ```text
/// delay(n) = random between 1/2 and 1 of min(base × 2^(n-1), max)
/// ```
///
/// # Examples
///
/// ```
/// use evenkeel::Backoff;
/// use std::time::Duration;
///
/// let backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5))?;
///
/// let error = Backoff::new(Duration::from_secs(5), Duration::from_secs(1)).unwrap_err();
/// assert_eq!(error.to_string(), "invalid back-off 5s to 1s: expected a base above zero and a maximum not below it");
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Backoff {
    base: Duration,
    max: Duration,
}

impl Backoff {
    /// A back-off that starts with `base` and never exceeds `max`.
    ///
    /// # Errors
    ///
    /// When `base` is zero or above `max`.
    pub fn new(base: Duration, max: Duration) -> Result<Self, InvalidSetting> {
        if base.is_zero() || base > max {
            let given = format_args!("{base:?} to {max:?}");
            let expected = "a base above zero and a maximum not below it";
            return Err(InvalidSetting::new("back-off", given, expected));
        }
        Ok(Self { base, max })
    }

    /// Between attempts at one request.
    pub(crate) const PAUSES: Self = Self {
        base: Duration::from_millis(25),
        max: Duration::from_millis(250),
    };

    pub(crate) fn longest(self) -> Duration {
        self.max
    }

    /// Returns how long to wait after so many failures in a row, at random: never more than the
    /// maximum.
    pub fn delay(self, failures: u32) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let full = self.base.saturating_mul(1 << doublings).min(self.max);
        full.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
    }
}

impl Default for Backoff {
    /// From 100 ms to 10 s.
    fn default() -> Self {
        Self {
            base: Duration::from_millis(100),
            max: Duration::from_secs(10),
        }
    }
}
