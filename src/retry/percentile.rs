//! A percentile of recent latencies, in constant memory.
//!
//! # Algorithm
//!
//! A histogram in the manner of HDR histograms: a bucket is a sixteenth of an octave, so what is
//! read is the upper bound of a bucket and at most 1/16 (6.25 %) more than the latency that has
//! that rank, never less. Below 1024 ns buckets are 64 ns wide, and one takes all from 2^42 ns (73
//! minutes) on.
//!
//! Whoever records first after 3 s (as in Finagle) reads the percentile off the histogram and
//! leaves half of each bucket, if enough is left then: the half-life of a sample is 3 s, and longer
//! with little traffic. The first time, it is read as soon as there are samples enough, which are
//! five above the percentile, and a hundred.
//!
//! # References
//!
//! Gil Tene, `HdrHistogram`; Twitter Finagle, `BackupRequestFilter.scala`.

use std::time::Duration;

use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// Nanoseconds between two looks.
const INTERVAL: u64 = 3_000_000_000;

/// The width of the lowest buckets is 2^6 ns.
const UNIT_BITS: u32 = 6;

/// Each octave has 2^4 buckets.
const SUB_BITS: u32 = 4;
const SUBS: usize = 1 << SUB_BITS;

/// Latencies end at 2^42 ns.
const MAX_BITS: u32 = 42;
const BUCKETS: usize = ((MAX_BITS - UNIT_BITS - SUB_BITS + 1) as usize) * SUBS;

/// A percentile of recent latencies. Recording and reading cost the same whatever was recorded, but
/// for one record in 3 s.
#[derive(Debug)]
pub(crate) struct Percentile {
    /// Nanoseconds; 0 is none. `Relaxed`, here and below: nothing is published with it.
    latest: AtomicU64,
    /// When it is looked at again, in the nanoseconds of `record`. Who moves it looks.
    next: AtomicU64,
    /// How many were recorded before the first look; not counted any further. `AcqRel`: who sees
    /// that they are enough sees them in their buckets.
    first: AtomicU32,
    minimum: u32,
    quantile: f64,
    buckets: [AtomicU32; BUCKETS],
}

impl Percentile {
    /// Of 0.5 to 0.9999; what is beyond is taken for the nearest.
    pub(crate) fn new(percentile: f64) -> Self {
        let percentile = percentile.clamp(0.5, 0.9999);
        Self {
            latest: AtomicU64::new(0),
            next: AtomicU64::new(0),
            first: AtomicU32::new(0),
            minimum: (5.0 / (1.0 - percentile)).round().max(100.0) as u32,
            quantile: percentile,
            buckets: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    /// The percentile as of the last look; `None` until there were enough samples.
    #[inline]
    pub(crate) fn get(&self) -> Option<Duration> {
        let ns = self.latest.load(Ordering::Relaxed);
        (ns != 0).then(|| Duration::from_nanos(ns))
    }

    /// Takes a latency into account; `now` is in nanoseconds since any moment.
    #[inline]
    pub(crate) fn record(&self, latency: u64, now: u64) {
        self.buckets[bucket(latency)].fetch_add(1, Ordering::Relaxed);
        let due = if self.latest.load(Ordering::Relaxed) == 0 {
            self.first.fetch_add(1, Ordering::AcqRel).saturating_add(1) >= self.minimum
        } else {
            now >= self.next.load(Ordering::Relaxed)
        };
        if due {
            self.look(now);
        }
    }

    #[cold]
    fn look(&self, now: u64) {
        let next = self.next.load(Ordering::Relaxed);
        let claimed = self.next.compare_exchange(
            next,
            now.saturating_add(INTERVAL),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if claimed.is_err() {
            return;
        }
        let counts = self.buckets.each_ref().map(|b| b.load(Ordering::Relaxed));
        let total: u64 = counts.iter().copied().map(u64::from).sum();
        if total < self.minimum.into() {
            return;
        }
        let mut above = total - (self.quantile * total as f64).ceil() as u64;
        let mut at = BUCKETS - 1;
        // From the top, the first bucket that is not wholly above the rank.
        while at > 0 && u64::from(counts[at]) <= above {
            above -= u64::from(counts[at]);
            at -= 1;
        }
        self.latest.store(upper(at), Ordering::Relaxed);
        if total >= 2 * u64::from(self.minimum) {
            self.halve();
        }
    }

    /// What rounding leaves over goes to the next bucket, so that a tail of single samples is halved
    /// as well and not lost.
    ///
    /// Each bucket is halved as it is by then, so that neither what is recorded meanwhile is lost,
    /// nor is any below zero if another look overtakes this one.
    fn halve(&self) {
        let mut over = 0;
        for bucket in self.buckets.iter().rev() {
            if bucket.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let half = |count| Some(u32::midpoint(count, over));
            let halved = bucket.fetch_update(Ordering::Relaxed, Ordering::Relaxed, half);
            let (Ok(count) | Err(count)) = halved;
            over = (count % 2 + over) % 2;
        }
    }
}

#[inline]
fn bucket(latency: u64) -> usize {
    let units = latency.min((1 << MAX_BITS) - 1) >> UNIT_BITS;
    // From the first octave whose buckets are a unit wide, as those below it are.
    let octave = units.max(1).ilog2().saturating_sub(SUB_BITS);
    octave as usize * SUBS + (units >> octave) as usize
}

/// The least latency above the bucket's.
fn upper(bucket: usize) -> u64 {
    let octave = (bucket / SUBS).saturating_sub(1);
    let units = (bucket - octave * SUBS + 1) as u64;
    units << octave << UNIT_BITS
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests;
