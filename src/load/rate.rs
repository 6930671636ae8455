//! How often something happens, over the last ten seconds.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count for each second.
#[derive(Debug)]
pub(super) struct Rate {
    /// In nanoseconds.
    start: u64,
    /// The second's number above, its count below. `Relaxed`: each word is all that there is.
    seconds: [AtomicU64; SLOTS],
}

const SECOND: u64 = 1_000_000_000;

/// How many seconds count that are over.
const WINDOW: u64 = 10;

/// Those, the one that runs, and some that wait to be used again: so a thread that is late by a
/// little finds its own second still.
const SLOTS: usize = 16;

impl Rate {
    pub(super) fn since(start: u64) -> Self {
        Self {
            start,
            seconds: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    pub(super) fn count(&self, now: u64) {
        let second = now / SECOND;
        let word = &self.seconds[(second % SLOTS as u64) as usize];
        let mut seen = word.load(Ordering::Relaxed);
        // One of another second is of one long past, and begun anew.
        while !is_of(seen, second) {
            let first = (second << 32) | 1;
            match word.compare_exchange_weak(seen, first, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return,
                Err(other) => seen = other,
            }
        }
        word.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn per_second(&self, now: u64) -> f64 {
        let second = now / SECOND;
        let oldest = second.saturating_sub(WINDOW);
        let count: u64 = (oldest..=second)
            .map(|second| {
                let word = &self.seconds[(second % SLOTS as u64) as usize];
                let seen = word.load(Ordering::Relaxed);
                let counted = is_of(seen, second);
                if counted { seen & COUNT } else { 0 }
            })
            .sum();
        let since = self.start.max(oldest * SECOND);
        let time = now.saturating_sub(since).max(SECOND);
        count as f64 / (time as f64 / SECOND as f64)
    }
}

const COUNT: u64 = u32::MAX as u64;

/// Seconds wrap after 136 years.
fn is_of(word: u64, second: u64) -> bool {
    word >> 32 == second & COUNT
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_000 * SECOND;

    fn close(rate: f64, expected: f64) {
        assert!((rate - expected).abs() < 1e-9, "{rate}, not {expected}");
    }

    #[test]
    fn a_young_rate_is_that_of_its_life_or_of_a_second() {
        let rate = Rate::since(START);
        close(rate.per_second(START), 0.0);
        for _ in 0..5 {
            rate.count(START);
        }
        close(rate.per_second(START), 5.0);
        close(rate.per_second(START + SECOND / 2), 5.0);
        close(rate.per_second(START + 2 * SECOND), 2.5);
        close(rate.per_second(START + 10 * SECOND), 0.5);
    }

    #[test]
    fn what_is_more_than_ten_seconds_old_does_not_count() {
        let rate = Rate::since(START);
        for tenth in 0..200 {
            rate.count(START + tenth * SECOND / 10);
        }
        // The last ten seconds and a half.
        close(rate.per_second(START + 20 * SECOND - 1), 100.0 / 10.0);
        close(
            rate.per_second(START + 25 * SECOND + SECOND / 2),
            50.0 / 10.5,
        );
        close(rate.per_second(START + 29 * SECOND), 1.0);
        close(rate.per_second(START + 30 * SECOND), 0.0);
        // Nor after any number of turns of the ring.
        close(rate.per_second(START + 35 * SECOND), 0.0);
        rate.count(START + 36 * SECOND);
        close(rate.per_second(START + 36 * SECOND), 0.1);
    }

    #[test]
    fn nothing_is_lost_between_threads() {
        let rate = Rate::since(START);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for step in 0..10_000u64 {
                        rate.count(START + step % 10 * SECOND);
                    }
                });
            }
        });
        close(rate.per_second(START + 10 * SECOND), 4_000.0);
    }
}
