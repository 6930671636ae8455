use std::sync::Barrier;
use std::thread;

use proptest::prelude::*;

use super::*;

const MILLISECOND: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLISECOND;

/// Records so many a second from `from` on, until just before `until`.
fn record(
    percentile: &Percentile,
    per_second: u64,
    (from, until): (u64, u64),
    mut latency: impl FnMut() -> u64,
) {
    for nth in 0..(until - from) * per_second / SECOND {
        percentile.record(latency(), from + nth * SECOND / per_second);
    }
}

fn nanoseconds(percentile: &Percentile) -> u64 {
    percentile.get().expect("there are enough").as_nanos() as u64
}

/// At least the latency, and at most a bucket more.
fn is_within_a_bucket(given: u64, latency: u64) -> bool {
    (latency..=latency + (latency / 16).max(64)).contains(&given)
}

#[test]
fn buckets_follow_one_another_without_a_gap() {
    for bucket_of in 0..BUCKETS - 1 {
        assert_eq!(bucket(upper(bucket_of) - 1), bucket_of);
        assert_eq!(bucket(upper(bucket_of)), bucket_of + 1);
    }
    assert_eq!(upper(BUCKETS - 1), 1 << MAX_BITS);
}

#[test]
fn any_latency_is_read_as_itself_or_a_sixteenth_more() {
    for latency in [
        0,
        1,
        63,
        64,
        1_000,
        1_024,
        123_456,
        999 * MILLISECOND,
        3_600 * SECOND,
    ] {
        let percentile = Percentile::new(0.9);
        record(&percentile, 1_000, (0, SECOND), || latency);
        let given = nanoseconds(&percentile);
        assert!(is_within_a_bucket(given, latency), "{latency} as {given}");
    }
}

#[test]
fn what_is_beyond_all_buckets_is_in_the_last() {
    let percentile = Percentile::new(0.5);
    record(&percentile, 1_000, (0, SECOND), || u64::MAX);
    assert_eq!(nanoseconds(&percentile), 1 << MAX_BITS);
}

#[test]
fn a_percentile_beyond_its_range_is_the_nearest() {
    for (given, taken, minimum) in [
        (-1.0, 0.5, 100),
        (0.95, 0.95, 100),
        (0.99, 0.99, 500),
        (1.0, 0.9999, 50_000),
        (f64::INFINITY, 0.9999, 50_000),
    ] {
        let percentile = Percentile::new(given);
        assert!((percentile.quantile - taken).abs() < f64::EPSILON);
        assert_eq!(percentile.minimum, minimum);
    }
    let none = Percentile::new(f64::NAN);
    record(&none, 1_000, (0, 10 * SECOND), || 5);
}

#[test]
fn with_too_few_samples_there_is_none_however_long_it_takes() {
    let percentile = Percentile::new(0.99);
    for nth in 1..500 {
        percentile.record(7 * MILLISECOND, nth * 60 * SECOND);
        assert_eq!(percentile.get(), None, "{nth}");
    }
    percentile.record(7 * MILLISECOND, 500 * 60 * SECOND);
    assert!(is_within_a_bucket(
        nanoseconds(&percentile),
        7 * MILLISECOND
    ));
}

#[test]
fn it_changes_once_in_three_seconds() {
    let percentile = Percentile::new(0.5);
    record(&percentile, 1_000, (0, 100 * MILLISECOND), || MILLISECOND);
    let first = percentile.get();
    // The first look was at 99 ms.
    record(&percentile, 1_000, (SECOND, 3_099 * MILLISECOND), || SECOND);
    assert_eq!(percentile.get(), first);
    percentile.record(SECOND, 3_099 * MILLISECOND);
    assert!(is_within_a_bucket(nanoseconds(&percentile), SECOND));
}

#[test]
fn a_rise_shows_at_the_next_look_and_a_fall_after_a_few() {
    let percentile = Percentile::new(0.95);
    record(&percentile, 1_000, (0, 60 * SECOND), || 10 * MILLISECOND);
    record(&percentile, 1_000, (60 * SECOND, 64 * SECOND), || SECOND);
    assert!(is_within_a_bucket(nanoseconds(&percentile), SECOND));
    // As long as a twentieth of what counts is from before: halved each time, that is five times.
    record(&percentile, 1_000, (64 * SECOND, 90 * SECOND), || {
        10 * MILLISECOND
    });
    let fallen = nanoseconds(&percentile);
    assert!(is_within_a_bucket(fallen, 10 * MILLISECOND), "{fallen}");
}

#[test]
fn a_tail_of_single_samples_outlives_the_halving() {
    let percentile = Percentile::new(0.99);
    for _ in 0..60 {
        // 2 % of the samples, each of them alone in its bucket.
        for nth in 0..20 {
            percentile.record(SECOND << (nth % 10), 0);
            percentile.record((SECOND * 5 / 4) << (nth % 10), 0);
        }
        (0..1_960).for_each(|_| percentile.record(MILLISECOND, 0));
        percentile.next.store(0, Ordering::Relaxed);
        percentile.look(0);
        assert!(nanoseconds(&percentile) > SECOND);
        let total = total(&percentile);
        assert!(total <= 2_000, "{total}");
    }
    // Nothing is left of 2000 samples but their half, so many times.
    let tail = percentile.buckets[bucket(SECOND)..].iter();
    let tail: u32 = tail.map(|bucket| bucket.load(Ordering::Relaxed)).sum();
    assert!((39..=41).contains(&tail), "{tail}");
}

/// How many samples count at present.
fn total(percentile: &Percentile) -> u64 {
    let buckets = percentile.buckets.iter();
    buckets
        .map(|bucket| u64::from(bucket.load(Ordering::Relaxed)))
        .sum()
}

const THREADS: u64 = 4;

/// Each thread records so many once all are there, and calls `also` after each.
fn record_at_once(percentile: &Percentile, each: u64, also: impl Fn(u64) + Sync) {
    let all_there = Barrier::new(THREADS as usize);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                all_there.wait();
                for nth in 0..each {
                    percentile.record(nth % 2 * SECOND, 0);
                    also(nth);
                }
            });
        }
    });
}

#[test]
fn no_record_of_any_thread_is_lost() {
    let percentile = Percentile::new(0.99);
    // It has been looked at, and will not be again.
    percentile.latest.store(1, Ordering::Relaxed);
    percentile.next.store(u64::MAX, Ordering::Relaxed);
    record_at_once(&percentile, 500_000, |_| ());
    assert_eq!(total(&percentile), THREADS * 500_000);
}

#[test]
fn halving_at_once_with_others_makes_nothing_of_nothing() {
    let percentile = Percentile::new(0.99);
    percentile.latest.store(1, Ordering::Relaxed);
    percentile.next.store(u64::MAX, Ordering::Relaxed);
    record_at_once(&percentile, 20_000, |nth| {
        if nth % 2 == 0 {
            percentile.halve();
        }
        let total = total(&percentile);
        assert!(total <= THREADS * 20_000, "{total}");
    });
}

#[test]
fn threads_that_look_at_once_agree_with_one_alone() {
    let percentile = Percentile::new(0.9);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for nth in 0..200_000u64 {
                    // From 1 to 100 ms evenly; 33 looks.
                    let latency = (nth * 37 % 100 + 1) * MILLISECOND;
                    percentile.record(latency, nth * SECOND / 2_000);
                }
            });
        }
    });
    let given = nanoseconds(&percentile);
    assert!(
        (90 * MILLISECOND..=96 * MILLISECOND).contains(&given),
        "{given}"
    );
}

proptest! {
    #[test]
    fn of_any_latencies_it_is_the_one_of_that_rank_within_a_bucket(
        percentile in 0.5f64..0.99,
        few in prop::collection::vec(0u64..1 << MAX_BITS, 1..5),
        spread in prop::collection::vec((0u32..42, any::<u64>()), 500),
    ) {
        let spread = spread.into_iter().map(|(bits, of)| of % (1 << bits));
        let mut latencies: Vec<_> = few.into_iter().cycle().take(300).chain(spread).collect();
        let recorded = Percentile::new(percentile);
        for &latency in &latencies {
            recorded.record(latency, 0);
        }
        // Now that all are there, and nothing was halved before.
        recorded.next.store(0, Ordering::Relaxed);
        recorded.look(0);
        latencies.sort_unstable();
        let rank = (percentile * 800.0).ceil() as usize;
        let (given, exact) = (nanoseconds(&recorded), latencies[rank - 1]);
        prop_assert!(is_within_a_bucket(given, exact), "{given} for {exact}");
    }

    #[test]
    fn halving_leaves_half_of_what_is_above_any_latency(
        counts in prop::collection::vec(prop_oneof![3 => Just(0), 3 => 0u32..3, 1 => any::<u32>()], BUCKETS),
    ) {
        let percentile = Percentile::new(0.5);
        for (bucket, &count) in percentile.buckets.iter().zip(&counts) {
            bucket.store(count, Ordering::Relaxed);
        }
        percentile.halve();
        let (mut before, mut after) = (0, 0);
        for (bucket, &count) in percentile.buckets.iter().zip(&counts).rev() {
            before += u64::from(count);
            after += u64::from(bucket.load(Ordering::Relaxed));
            prop_assert_eq!(after, before / 2);
        }
    }

    #[test]
    fn no_times_and_latencies_are_too_odd(
        records in prop::collection::vec((any::<u64>(), any::<u64>()), 0..2_000),
    ) {
        let percentile = Percentile::new(0.5);
        for (latency, now) in records {
            percentile.record(latency, now);
            percentile.record(latency, u64::MAX);
            percentile.record(0, 0);
        }
        if let Some(given) = percentile.get() {
            prop_assert!(given <= Duration::from_nanos(1 << MAX_BITS));
        }
    }
}
