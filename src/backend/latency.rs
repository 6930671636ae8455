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
//! backend that fails fast never looks fast. A cancelled one says only that the answer would have taken longer:
//! it can raise the average, not lower it.
//!
//! *Outstanding requests* count as soon as their mean age exceeds the average, so that a backend
//! that hangs looks slower by the moment.
//!
//! # References
//!
//! Twitter Finagle, `PeakEwma.scala`; the `tower` crate, `load::PeakEwma`.

use std::time::{Duration, Instant};

use super::Outcome;
use crate::sync::{AtomicU64, Ordering};
use crate::time::since_epoch;

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
    /// Seconds; 0 means that only the latest sample counts.
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

    pub(super) fn read(&self, now: Instant, settings: LatencySettings) -> Option<Duration> {
        let word = self.0.load(Ordering::Relaxed);
        let (average, last) = unpack(word)?;
        let seconds = average * remaining(last, tick(now), settings);
        Some(Duration::try_from_secs_f32(seconds).unwrap_or(Duration::MAX))
    }

    /// Takes one request's end into account.
    pub(super) fn record(
        &self,
        latency: Duration,
        outcome: Outcome,
        now: Instant,
        settings: LatencySettings,
    ) {
        let seconds = latency.as_secs_f32();
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

fn tick(now: Instant) -> u32 {
    (since_epoch(now) >> 20) as u32
}

/// The share of an average's weight that is left at `now`.
fn remaining(last: u32, now: u32, settings: LatencySettings) -> f32 {
    // Another thread's sample can be a tick ahead of this one's clock.
    let ticks = (now.wrapping_sub(last) as i32).max(0);
    let elapsed = ticks as f32 * (1 << 20) as f32 * 1e-9;
    if elapsed == 0.0 {
        1.0
    } else {
        (-elapsed / settings.decay).exp()
    }
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
/// Count and sum of the start times in one word: 20 bits of count, 44 bits of sum in units of
/// 2^14 ns, modulo 2^44. The total age is `count × now − sum` in the same arithmetic, right
/// up to nine years of it. `Relaxed` is enough: the word is all that there is.
#[derive(Debug)]
pub(super) struct Waiting(AtomicU64);

const SUM_BITS: u32 = 44;
const SUM_MASK: u64 = (1 << SUM_BITS) - 1;
const COUNT_MAX: u64 = (1 << (64 - SUM_BITS)) - 1;
const UNIT_BITS: u32 = 14;

impl Waiting {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts a request in; returns what [`leave`](Self::leave) needs. Beyond a million at once
    /// on one backend, further ones are not counted.
    pub(super) fn enter(&self, now: Instant) -> Option<u64> {
        let start = (since_epoch(now) >> UNIT_BITS) & SUM_MASK;
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let count = word >> SUM_BITS;
                (count < COUNT_MAX).then(|| join(count + 1, (word & SUM_MASK) + start))
            })
            .ok()
            .map(|_| start)
    }

    pub(super) fn leave(&self, start: u64) {
        // The closure never returns `None`, so this cannot fail.
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |word| {
                let sum = (word & SUM_MASK).wrapping_sub(start);
                Some(join((word >> SUM_BITS).saturating_sub(1), sum))
            });
    }

    /// The mean age of the waiting requests.
    pub(super) fn mean_age(&self, now: Instant) -> Option<Duration> {
        let word = self.0.load(Ordering::Relaxed);
        let count = word >> SUM_BITS;
        if count == 0 {
            return None;
        }
        let now = (since_epoch(now) >> UNIT_BITS) & SUM_MASK;
        let total = count.wrapping_mul(now).wrapping_sub(word & SUM_MASK) & SUM_MASK;
        // A start that is a unit ahead of this thread's clock reads as a huge age: it is none.
        let total = if total > SUM_MASK / 2 { 0 } else { total };
        Some(Duration::from_nanos((total / count) << UNIT_BITS))
    }
}

fn join(count: u64, sum: u64) -> u64 {
    count << SUM_BITS | (sum & SUM_MASK)
}
