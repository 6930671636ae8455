use std::array;

use super::Latencies;
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// How long the requests of about the last minute took, log-linear, in less than 2 KiB.
///
/// # Algorithm
///
/// A bucket is an eighth of an octave, in the manner of HDR histograms; below 8 µs it is one
/// microsecond, and the last takes all from an hour on. There are two halves, of which one is
/// counted in for 30 s, and is then left as it is for 30 s more. Whoever is the first to count after
/// that clears the older one.
///
/// Each number is a statistic, read on its own: hence `Relaxed`. Who counts while another clears may
/// be lost, or be counted in the wrong half.
#[derive(Debug)]
pub(super) struct Histogram {
    /// Which 30 s were counted in last, since the epoch.
    period: AtomicU64,
    /// Since the beginning: in nanoseconds, and how many.
    sum: AtomicU64,
    count: AtomicU64,
    halves: [[AtomicU32; BUCKETS]; 2],
}

/// Each octave has 2^3 buckets.
const SUB_BITS: u32 = 3;

/// Microseconds below 2^32, which are 71 minutes.
const BUCKETS: usize = ((32 - SUB_BITS + 1) << SUB_BITS) as usize;

/// In nanoseconds.
const HALF: u64 = 30_000_000_000;

const _: () = assert!(size_of::<Histogram>() <= 2048 || cfg!(evenkeel_loom));

impl Histogram {
    pub(super) fn new() -> Self {
        Self {
            period: AtomicU64::new(0),
            sum: AtomicU64::new(0),
            count: AtomicU64::new(0),
            halves: array::from_fn(|_| array::from_fn(|_| AtomicU32::new(0))),
        }
    }

    /// Counts a latency that is known at `now`, both in nanoseconds.
    pub(super) fn note(&self, latency: u64, now: u64) {
        let period = self.turn(now / HALF);
        let bucket = bucket_of(latency);
        self.halves[half(period)][bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(latency, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns which period to count in. A clock that went back goes on where it was.
    fn turn(&self, now: u64) -> u64 {
        let before = self.period.load(Ordering::Relaxed);
        if now <= before {
            return before;
        }
        let turned =
            self.period
                .compare_exchange(before, now, Ordering::Relaxed, Ordering::Relaxed);
        if turned.is_ok() {
            self.clear(now);
            if now - before > 1 {
                self.clear(now - 1);
            }
        }
        now
    }

    #[cold]
    fn clear(&self, period: u64) {
        for bucket in &self.halves[half(period)] {
            bucket.store(0, Ordering::Relaxed);
        }
    }

    /// What is in it at `now`.
    pub(super) fn read(&self, now: u64) -> Latencies {
        let last = self.period.load(Ordering::Relaxed);
        let recent = match (now / HALF).saturating_sub(last) {
            0 => &self.halves[..],
            1 => array::from_ref(&self.halves[half(last)]),
            _ => &[],
        };
        let sum = |bucket: usize| {
            let counts = recent.iter().map(|half| &half[bucket]);
            counts.fold(0u32, |sum, count| {
                sum.saturating_add(count.load(Ordering::Relaxed))
            })
        };
        Latencies::new(
            (0..BUCKETS).map(|bucket| (bucket as u16, sum(bucket))),
            self.sum.load(Ordering::Relaxed),
            self.count.load(Ordering::Relaxed),
        )
    }
}

fn half(period: u64) -> usize {
    (period % 2) as usize
}

fn bucket_of(nanos: u64) -> usize {
    let micros = (nanos / 1000).min(u64::from(u32::MAX)) as u32;
    let Some(shift) = micros
        .checked_ilog2()
        .and_then(|log| log.checked_sub(SUB_BITS))
    else {
        return micros as usize;
    };
    ((shift << SUB_BITS) + (micros >> shift)) as usize
}

/// The middle of a bucket, in nanoseconds.
pub(super) fn middle_of(bucket: u16) -> u64 {
    let bucket = u32::from(bucket);
    let Some(shift) = (bucket >> SUB_BITS).checked_sub(1) else {
        return u64::from(bucket) * 1000 + 500;
    };
    let least = u64::from(bucket - (shift << SUB_BITS)) << shift;
    least * 1000 + (500 << shift)
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_middle_of_its_bucket_is_within_a_fifteenth_of_each_latency() {
        for octave in 0..32 {
            for part in 0..64u64 {
                let micros = (1u64 << octave) + ((part << octave) / 64);
                let bucket = bucket_of(micros * 1000);
                assert!(bucket < BUCKETS, "{micros} us");
                let off = middle_of(bucket as u16).abs_diff(micros * 1000);
                let most = (micros * 1000 / 15).max(500);
                assert!(off <= most, "{micros} us is {off} ns off");
            }
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket_of(0), 0);
    }

    #[test]
    fn a_latency_counts_for_thirty_to_sixty_seconds() {
        let histogram = Histogram::new();
        let at = |second: u64| 90 * SECOND + second * SECOND;
        histogram.note(5000, at(0));
        for (second, samples) in [(0, 1), (29, 1), (59, 1), (60, 0), (300, 0)] {
            assert_eq!(histogram.read(at(second)).samples(), samples, "{second} s");
        }
        histogram.note(5000, at(59));
        assert_eq!(histogram.read(at(59)).samples(), 2);
        histogram.note(5000, at(60));
        assert_eq!(histogram.read(at(60)).samples(), 2, "the first is gone");
        histogram.note(5000, at(150));
        assert_eq!(histogram.read(at(150)).samples(), 1, "all others are gone");
        assert_eq!(histogram.read(at(150)).total(), 4);
    }

    #[test]
    fn a_clock_that_goes_back_loses_nothing() {
        let histogram = Histogram::new();
        histogram.note(1, 100 * SECOND);
        histogram.note(1, 10 * SECOND);
        assert_eq!(histogram.read(10 * SECOND).samples(), 2);
        assert_eq!(histogram.read(100 * SECOND).samples(), 2);
    }
}
