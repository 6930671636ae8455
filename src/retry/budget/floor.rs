use std::time::Duration;

use super::MAX_WINDOW;
use crate::sync::{AtomicU64, Ordering};

/// The line's units in a nanosecond: it lasts for 36 years, and a billion tokens a second are 16
/// units each.
const UNITS: u64 = 16;

/// The cost of a token when there is none.
const NEVER: u64 = u64::MAX;

/// What time pays in: a line as that of the requests' tokens, whose deposited end is the time.
///
/// The line is counted in time, not in tokens, so nothing has to be deposited: a token is the time
/// that it takes one to come. `spent` is where the next one begins; it is never longer ago than the
/// window (or than the time for one token, if that is longer). This is the generic cell rate
/// algorithm (GCRA) seen from its other end.
#[derive(Debug)]
pub(super) struct Floor {
    /// `Relaxed`: the word is all that there is.
    spent: AtomicU64,
    /// The length of a token, rounded up.
    token: u64,
    /// How much can have gathered.
    reserve: u64,
}

impl Floor {
    pub(super) fn new(per_second: f64, window: Duration) -> Self {
        // Without its sign, since there is a zero with one.
        let token = (1e9 * UNITS as f64 / per_second.abs()).ceil() as u64;
        // As many as a window has, though each is rounded up.
        let whole = (per_second * window.as_secs_f64()) as u64;
        let full = units(window.as_nanos() as u64).max(whole.saturating_mul(token));
        Self {
            spent: AtomicU64::new(position(0).saturating_sub(full)),
            token,
            reserve: full.max(token),
        }
    }

    #[inline]
    pub(super) fn withdraw(&self, now_ns: u64) -> bool {
        let now = position(now_ns);
        let mut spent = self.spent.load(Ordering::Relaxed);
        loop {
            let Some(next) = self.first(spent, now).checked_add(self.token) else {
                return false;
            };
            if next > now {
                return false;
            }
            match self.spent.compare_exchange_weak(
                spent,
                next,
                Ordering::Relaxed,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(seen) => spent = seen,
            }
        }
    }

    /// The tokens that have come and are neither spent nor lost.
    pub(super) fn left(&self, now_ns: u64) -> f64 {
        if self.token == NEVER {
            return 0.0;
        }
        let now = position(now_ns);
        let first = self.first(self.spent.load(Ordering::Relaxed), now);
        now.saturating_sub(first) as f64 / self.token as f64
    }

    /// Where the oldest token begins.
    #[inline]
    fn first(&self, spent: u64, now: u64) -> u64 {
        spent.max(now.saturating_sub(self.reserve))
    }
}

/// A time on the line, which begins so that there is room for a window before time 0 (and for what
/// rounding makes it longer).
#[inline]
fn position(now_ns: u64) -> u64 {
    const ZERO: u64 = 2 * MAX_WINDOW.as_nanos() as u64 * UNITS;
    units(now_ns).saturating_add(ZERO)
}

#[inline]
fn units(ns: u64) -> u64 {
    ns.saturating_mul(UNITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const WINDOW: Duration = Duration::from_secs(10);

    fn withdraw_all(floor: &Floor, now: u64) -> u64 {
        let mut withdrawn = 0;
        while floor.withdraw(now) {
            withdrawn += 1;
        }
        withdrawn
    }

    #[test]
    fn a_window_of_it_is_there_at_the_start_and_after_any_pause() {
        for per_second in [0.1, 1.0, 3.0, 10.0, 12_345.6, 2.9e8] {
            let floor = Floor::new(per_second, WINDOW);
            let full = (per_second * 10.0) as u64;
            assert_eq!(floor.left(0) as u64, full, "{per_second}");
            for pause in [11 * SECOND, 400 * SECOND, 1 << 59] {
                assert_eq!(floor.left(pause) as u64, full, "{per_second}");
                // Each of a billion would take long.
                if full < 1_000_000 {
                    assert_eq!(withdraw_all(&floor, pause), full, "{per_second}");
                }
            }
        }
    }

    #[test]
    fn it_comes_at_its_rate() {
        let floor = Floor::new(4.0, WINDOW);
        withdraw_all(&floor, 0);
        for quarter in 1..1_000 {
            assert!(!floor.withdraw(quarter * SECOND / 4 - 1));
            assert!(floor.withdraw(quarter * SECOND / 4));
        }
    }

    #[test]
    fn a_rate_of_less_than_one_in_a_window_gives_one_at_a_time() {
        let floor = Floor::new(0.01, WINDOW);
        // A window counts as passed at the start.
        assert_eq!(withdraw_all(&floor, 90 * SECOND - 1), 0);
        assert_eq!(withdraw_all(&floor, 90 * SECOND), 1);
        assert_eq!(withdraw_all(&floor, 10_000 * SECOND), 1);
    }

    #[test]
    fn none_is_none_at_any_time() {
        for per_second in [0.0, -0.0, f64::MIN_POSITIVE, 1e-12] {
            let floor = Floor::new(per_second, WINDOW);
            for now in [0, 1, SECOND, u64::MAX / 32, u64::MAX] {
                assert!(!floor.withdraw(now), "{per_second} {now}");
                assert!(floor.left(now) < 0.1, "{per_second} {now}");
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let floor = Floor::new(1.0, WINDOW);
        assert_eq!(withdraw_all(&floor, 100 * SECOND), 10);
        assert_eq!(withdraw_all(&floor, 0), 0);
        assert_eq!(withdraw_all(&floor, 100 * SECOND), 0);
        assert!(floor.left(0).abs() < f64::EPSILON);
    }
}
