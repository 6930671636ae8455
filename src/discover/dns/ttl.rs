//! When to ask again.

use std::time::Duration;

use crate::InvalidSetting;
use crate::time::CENTURY;

/// The least and the most time between two look-ups.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bounds {
    min: Duration,
    max: Duration,
}

/// What is asked again may be up to this part of the TTL late: clients of one cache see a TTL end at
/// the same moment.
const SPREAD: f64 = 0.1;

impl Bounds {
    pub(super) fn new(min: Duration, max: Duration) -> Result<Self, InvalidSetting> {
        if min.is_zero() || min > max {
            let given = format_args!("{min:?} to {max:?}");
            let expected = "a minimum above zero and a maximum not below it";
            return Err(InvalidSetting::new("bounds of the TTL", given, expected));
        }
        Ok(Self {
            min: min.min(CENTURY),
            max: max.min(CENTURY),
        })
    }

    /// How long to wait when an answer may be used for so many seconds, and a part of the last so
    /// many was missing; with a random number from 0 to 1.
    pub(super) fn wait(self, ttl: Option<u32>, partial: u32, random: f64) -> Duration {
        let ttl = ttl.map_or(self.min, |ttl| Duration::from_secs(ttl.into()));
        let ttl = match partial {
            0 => ttl,
            // What is missing may be back soon. If it is not, the rest is not to be asked for all the time.
            times => ttl.min(self.min.saturating_mul(1 << (times - 1).min(31))),
        };
        // Long ones are spread as well, without exceeding the maximum.
        let longest = self.max.div_f64(1.0 + SPREAD);
        let wait = ttl.min(longest).max(self.min);
        wait.mul_f64(random.mul_add(SPREAD, 1.0)).min(self.max)
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            min: Duration::from_secs(5),
            max: Duration::from_secs(5 * 60),
        }
    }
}

/// A TTL as it is meant: one with its highest bit set is zero (RFC 2181, section 8).
pub(super) fn valid(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

/// The lesser of two times, if they are known.
pub(super) fn least(one: Option<u32>, other: Option<u32>) -> Option<u32> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(ttl: Option<u32>, random: f64) -> f64 {
        Bounds::default().wait(ttl, 0, random).as_secs_f64()
    }

    #[test]
    fn what_is_missing_is_asked_for_soon_at_first_and_then_less_and_less_often() {
        let wait = |partial, ttl| Bounds::default().wait(Some(ttl), partial, 0.0).as_secs();
        let waits = [1, 2, 3, 4, 5, 33, u32::MAX].map(|partial| wait(partial, 60));
        assert_eq!(waits, [5, 10, 20, 40, 60, 60, 60]);
        assert_eq!(wait(3, 0), 5);
    }

    #[test]
    fn a_ttl_is_kept_within_bounds_and_never_shortened_within_them() {
        for (ttl, from, to) in [
            (None, 5.0, 5.5),
            (Some(0), 5.0, 5.5),
            (Some(4), 5.0, 5.5),
            (Some(60), 60.0, 66.0),
            (Some(300), 300.0 / 1.1, 300.0),
            (Some(86_400), 300.0 / 1.1, 300.0),
            (Some(i32::MAX as u32), 300.0 / 1.1, 300.0),
            (Some(valid(u32::MAX)), 5.0, 5.5),
        ] {
            let (least, most) = (wait(ttl, 0.0), wait(ttl, 1.0));
            assert!((least - from).abs() < 1e-6, "{ttl:?}: {least}");
            assert!((most - to).abs() < 1e-6, "{ttl:?}: {most}");
        }
    }

    #[test]
    fn any_bounds_that_are_accepted_can_be_waited_for() {
        let second = Duration::from_secs(1);
        for (min, max) in [
            (second, second),
            (Duration::from_nanos(1), Duration::MAX),
            (Duration::MAX, Duration::MAX),
        ] {
            let bounds = Bounds::new(min, max).unwrap();
            for ttl in [None, Some(0), Some(u32::MAX), Some(1000)] {
                let wait = bounds.wait(ttl, u32::MAX, 1.0);
                assert!(
                    wait <= max && wait >= min.min(CENTURY),
                    "{bounds:?}: {wait:?}"
                );
            }
        }
        let error = Bounds::new(second * 2, second).unwrap_err();
        let expected = "invalid bounds of the TTL 2s to 1s: expected a minimum above zero and a maximum not below it";
        assert_eq!(error.to_string(), expected);
        Bounds::new(Duration::ZERO, second).unwrap_err();
    }
}
