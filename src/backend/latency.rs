//! Latency of one backend in two words of memory: what its answers showed, and what its
//! outstanding requests show so far.
//!
//! # Algorithm
//!
//! *Answers* feed a peak-sensitive moving average (Finagle's Peak EWMA). A sample above the average
//! replaces it; one below is mixed in by the time that went by, with `w = exp(-Δt / decay)`:
//!
//! ```text
//! sample >  average:  average = sample
//! sample <= average:  average = average * w + sample * (1 - w)
//! reading at t:       average * exp(-(t - last) / decay)
//! ```
//!
//! Reading never changes it. A backend that nobody asks is forgiven little by little and is tried
//! again, instead of being shunned for ever.
//!
//! *Outcomes*: a failed or rejected request counts as a sample of at least the penalty, so that a
//! backend that fails fast never looks fast. A cancelled one says only that the answer would have
//! taken longer: it can raise the average, not lower it.
//!
//! *Outstanding requests* count as soon as their mean age exceeds the average, so that a backend
//! that hangs looks slower by the moment.
//!
//! # References
//!
//! Twitter Finagle, `PeakEwma.scala`; the `tower` crate, `load::PeakEwma`.

use std::time::Duration;

use super::Outcome;
use crate::sync::{AtomicU64, Ordering};

/// How a pool learns its backends' latency.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::LatencySettings;
/// use std::time::Duration;
///
/// let latency = LatencySettings::new()
///     .decay(Duration::from_secs(5))
///     .failure_penalty(Duration::from_millis(500));
/// # let _ = latency;
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct LatencySettings {
    /// Seconds; 0 means that only the latest sample counts (of one millisecond, the largest).
    decay: f32,
    /// Seconds.
    penalty: f32,
}

impl LatencySettings {
    /// The defaults: a decay of 10 s (as Finagle's) and a penalty of 1 s.
    pub const fn new() -> Self {
        Self {
            decay: 10.0,
            penalty: 1.0,
        }
    }

    /// Sets the time constant of the average: after it, an old sample weighs 1/e. Default 10 s.
    pub fn decay(mut self, decay: Duration) -> Self {
        self.decay = decay.as_secs_f32();
        self
    }

    /// Sets the least latency that a failed or rejected request counts as. Default 1 s.
    ///
    /// It should be well above a slow answer. After a failure the backend is left
    /// alone for about `decay × ln(penalty / usual latency)` while others can take the traffic.
    pub fn failure_penalty(mut self, penalty: Duration) -> Self {
        self.penalty = penalty.as_secs_f32();
        self
    }
}

impl Default for LatencySettings {
    fn default() -> Self {
        Self::new()
    }
}

/// The moving average: seconds as `f32` bits above, time of the last sample below.
///
/// The time is in units of 2^20 ns (about a millisecond) and wraps after 52 days, which only a
/// backend that was idle for as long would notice, as one decay period too few. Zero means
/// "never measured". All in one word, so that a reader never sees half of an update; `Relaxed` is
/// enough because nothing else is published with it.
#[derive(Debug)]
pub(super) struct Average(AtomicU64);

impl Average {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// In seconds.
    #[inline]
    pub(super) fn read(&self, now: u64, settings: LatencySettings) -> Option<f32> {
        let (average, last) = unpack(self.0.load(Ordering::Relaxed))?;
        Some(average * remaining(last, tick(now), settings))
    }

    /// Takes one request's end into account; `latency` is in nanoseconds.
    pub(super) fn record(
        &self,
        latency: u64,
        outcome: Outcome,
        now: u64,
        settings: LatencySettings,
    ) {
        let seconds = latency as f32 * 1e-9;
        let sample = match outcome {
            Outcome::Success | Outcome::Cancelled => seconds,
            Outcome::Failure(_) | Outcome::Rejected => seconds.max(settings.penalty),
        };
        let now = tick(now);
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let next = match unpack(word) {
                Some((average, _)) if sample > average => sample,
                // Not an answer, so no reason to think better of it (or to know it at all).
                _ if outcome == Outcome::Cancelled => return,
                Some((average, last)) => {
                    let w = remaining(last, now, settings);
                    average * w + sample * (1.0 - w)
                }
                None => sample,
            };
            let next = pack(next, now);
            match self
                .0
                .compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(seen) => word = seen,
            }
        }
    }
}

fn tick(now: u64) -> u32 {
    (now >> 20) as u32
}

/// The share of an average's weight that is left at `now`.
#[inline]
fn remaining(last: u32, now: u32, settings: LatencySettings) -> f32 {
    // Another thread's sample can be a tick ahead of this one's clock.
    let ticks = now.wrapping_sub(last).cast_signed().max(0);
    if ticks == 0 {
        return 1.0;
    }
    let elapsed = ticks as f32 * (1 << 20) as f32 * 1e-9;
    (-elapsed / settings.decay).exp()
}

fn pack(seconds: f32, tick: u32) -> u64 {
    // A measured zero must differ from "never measured".
    let seconds = seconds.max(f32::MIN_POSITIVE);
    u64::from(seconds.to_bits()) << 32 | u64::from(tick)
}

fn unpack(word: u64) -> Option<(f32, u32)> {
    (word != 0).then(|| (f32::from_bits((word >> 32) as u32), word as u32))
}

/// How long the requests that still wait for their response head have been waiting.
///
/// Sum of the start times and count in one word: 44 bits of sum in units of 2^14 ns above, modulo
/// 2^44, and 20 bits of count below. The total age is `count × now − sum` in the same arithmetic,
/// right up to nine years of it and a million requests at once. What one step adds, its counterpart
/// takes off again, so it is right after any number of them. `Relaxed` is enough: the word is all
/// that there is.
#[derive(Debug)]
pub(super) struct Waiting(AtomicU64);

const COUNT_BITS: u32 = 20;
const SUM_MASK: u64 = u64::MAX >> COUNT_BITS;
const UNIT_BITS: u32 = 14;

impl Waiting {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    #[inline]
    pub(super) fn enter(&self, since: u64) {
        self.0.fetch_add(one(since), Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn leave(&self, since: u64) {
        self.0.fetch_sub(one(since), Ordering::Relaxed);
    }

    /// The mean age of the waiting requests, in seconds.
    #[inline]
    pub(super) fn mean_age(&self, now: u64) -> Option<f32> {
        let (count, total) = self.ages(now);
        (count > 0).then(|| total as f32 / count as f32 * (1 << UNIT_BITS) as f32 * 1e-9)
    }

    /// The number of waiting requests, and the sum of their ages in nanoseconds.
    pub(super) fn total_age(&self, now: u64) -> (u64, u64) {
        let (count, total) = self.ages(now);
        (count, total << UNIT_BITS)
    }

    /// The number of waiting requests, and the sum of their ages.
    #[inline]
    fn ages(&self, now: u64) -> (u64, u64) {
        let word = self.0.load(Ordering::Relaxed);
        let count = word & ((1 << COUNT_BITS) - 1);
        let total = count
            .wrapping_mul(now >> UNIT_BITS)
            .wrapping_sub(word >> COUNT_BITS)
            & SUM_MASK;
        // A start that is a unit ahead of this thread's clock reads as a huge age: it is none.
        let total = if total > SUM_MASK / 2 { 0 } else { total };
        (count, total)
    }
}

/// What one request adds to the word.
fn one(since: u64) -> u64 {
    (since >> UNIT_BITS) << COUNT_BITS | 1
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;
    use crate::backend::Failure;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 100 * SECOND;

    fn after(samples: &[(u64, f32, Outcome)]) -> Average {
        let average = Average::new();
        for &(at, seconds, outcome) in samples {
            let latency = (seconds * 1e9) as u64;
            average.record(
                latency,
                outcome,
                START + at * SECOND,
                LatencySettings::new(),
            );
        }
        average
    }

    fn read(average: &Average, at: u64) -> f32 {
        let now = START + at * SECOND;
        average
            .read(now, LatencySettings::new())
            .expect("it was measured")
    }

    fn close(a: f32, b: f32) -> bool {
        (a - b).abs() <= b * 0.01
    }

    #[test]
    fn a_peak_counts_at_once_and_fades_with_the_decay() {
        let average = after(&[(0, 0.1, Outcome::Success), (1, 2.0, Outcome::Success)]);
        assert!(close(read(&average, 1), 2.0));
        assert!(close(read(&average, 11), 2.0 * (-1.0f32).exp()));
        assert!(close(read(&average, 31), 2.0 * (-3.0f32).exp()));
    }

    #[test]
    fn a_lower_sample_is_mixed_in_by_the_time_that_went_by() {
        let average = after(&[(0, 2.0, Outcome::Success), (10, 1.0, Outcome::Success)]);
        let w = (-1.0f32).exp();
        assert!(close(read(&average, 10), 2.0 * w + 1.0 * (1.0 - w)));
    }

    #[test]
    fn reading_changes_nothing() {
        let average = after(&[(0, 1.0, Outcome::Success)]);
        for _ in 0..1000 {
            read(&average, 10);
        }
        assert!(close(read(&average, 0), 1.0));
    }

    #[test]
    fn a_fast_failure_or_rejection_counts_as_the_penalty() {
        for outcome in [Outcome::Failure(Failure::Other), Outcome::Rejected] {
            let average = after(&[(0, 0.01, Outcome::Success), (1, 0.001, outcome)]);
            assert!(close(read(&average, 1), 1.0), "{outcome:?}");
        }
    }

    #[test]
    fn a_cancelled_request_can_raise_the_average_and_never_lower_it() {
        let slow = after(&[(0, 0.5, Outcome::Success), (1, 3.0, Outcome::Cancelled)]);
        assert!(close(read(&slow, 1), 3.0));
        let fast = after(&[(0, 0.5, Outcome::Success), (10, 0.001, Outcome::Cancelled)]);
        assert!(close(read(&fast, 0), 0.5));
    }

    #[test]
    fn a_cancelled_request_alone_is_no_measurement() {
        let average = after(&[(0, 0.001, Outcome::Cancelled)]);
        assert_eq!(average.read(START, LatencySettings::new()), None);
    }

    #[test]
    fn the_mean_age_is_right_for_many_and_across_years() {
        let waiting = Waiting::new();
        let year = 365 * 24 * 3600 * SECOND;
        for i in 0..1000 {
            waiting.enter(5 * year + i * SECOND);
        }
        let age = waiting
            .mean_age(5 * year + 1999 * SECOND)
            .expect("they wait");
        assert!(close(age, 1499.5), "{age}");
        for i in 0..1000 {
            waiting.leave(5 * year + i * SECOND);
        }
        assert_eq!(waiting.mean_age(6 * year), None);
    }

    #[test]
    fn a_clock_that_is_a_little_behind_another_threads_reads_as_no_age() {
        let waiting = Waiting::new();
        waiting.enter(START + SECOND);
        assert_eq!(waiting.mean_age(START), Some(0.0));
        let average = after(&[(1, 0.1, Outcome::Success)]);
        assert!(close(read(&average, 0), 0.1));
    }
}
