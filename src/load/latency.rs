//! How long answers take, by how many requests were in flight when theirs came.

use std::array;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// The last answers at each level of requests in flight.
#[derive(Debug)]
pub(super) struct Latencies {
    levels: Box<[Level]>,
}

#[derive(Debug)]
struct Level {
    /// How many were noted, wrapping.
    count: AtomicU32,
    /// When each came, in [`TICK`]s above, and how long it took, as an `f32` of seconds, below; 0 is
    /// none. `Relaxed`: each word is all that there is.
    answers: [AtomicU64; ANSWERS],
}

/// A power of two, so that the place of an answer goes on around the end of the count.
const ANSWERS: usize = 32;

/// So many decide.
const ENOUGH: usize = 16;

/// With fewer than enough, two more levels are looked at.
const MOST: usize = ENOUGH - 1 + 2 * ANSWERS;

/// In nanoseconds; about an eighth of a second, of which 32 bits last 18 years.
const TICK: u64 = 1 << 27;

/// A minute.
const MAX_AGE: u32 = (60_000_000_000 / TICK) as u32;

/// Levels up to this one are of one number each; beyond, eight are an octave.
const EXACT: u32 = 16;

const LEVELS: usize = (EXACT + (32 - EXACT.ilog2()) * 8) as usize;

impl Latencies {
    pub(super) fn new() -> Self {
        Self {
            levels: (0..LEVELS).map(|_| Level::new()).collect(),
        }
    }

    /// Notes how long an answer took, in nanoseconds.
    pub(super) fn note(&self, in_flight: u32, latency: u64, now: u64) {
        if let Some(level) = self.levels.get(level_of(in_flight)) {
            level.note(latency, tick(now));
        }
    }

    /// The median of recent answers at that level, or as near to it as there are any.
    pub(super) fn at(&self, in_flight: u32, now: u64) -> Option<Duration> {
        let mut found = Found {
            latencies: [0.0; MOST],
            len: 0,
        };
        let (level, now) = (level_of(in_flight), tick(now));
        for distance in 0..LEVELS {
            let below = level.checked_sub(distance);
            let above = (distance > 0).then_some(level + distance);
            for level in [below, above].into_iter().flatten() {
                if let Some(level) = self.levels.get(level) {
                    level.collect(now, &mut found);
                }
            }
            if found.len >= ENOUGH {
                break;
            }
        }
        found.median()
    }
}

impl Level {
    fn new() -> Self {
        Self {
            count: AtomicU32::new(0),
            answers: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    fn note(&self, latency: u64, tick: u32) {
        let seconds = (latency as f64 * 1e-9) as f32;
        // One that took no time at all is one, too.
        let bits = seconds.max(f32::MIN_POSITIVE).to_bits();
        let at = self.count.fetch_add(1, Ordering::Relaxed) as usize % ANSWERS;
        self.answers[at].store(u64::from(tick) << 32 | u64::from(bits), Ordering::Relaxed);
    }

    fn collect(&self, now: u32, found: &mut Found) {
        // Most levels have never had a request.
        if self.count.load(Ordering::Relaxed) == 0 {
            return;
        }
        for answer in &self.answers {
            let word = answer.load(Ordering::Relaxed);
            // Another thread's clock can be ahead.
            let age = now.wrapping_sub((word >> 32) as u32).cast_signed();
            if word != 0 && age <= MAX_AGE.cast_signed() {
                found.push(f32::from_bits(word as u32));
            }
        }
    }
}

struct Found {
    latencies: [f32; MOST],
    len: usize,
}

impl Found {
    fn push(&mut self, latency: f32) {
        if let Some(place) = self.latencies.get_mut(self.len) {
            *place = latency;
            self.len += 1;
        }
    }

    /// Of an even number, the upper of the two in the middle.
    fn median(&mut self) -> Option<Duration> {
        let found = &mut self.latencies[..self.len];
        if found.is_empty() {
            return None;
        }
        let middle = found.len() / 2;
        let (_, median, _) = found.select_nth_unstable_by(middle, f32::total_cmp);
        // Up to 584 years, which is what the nanoseconds came from.
        Some(Duration::from_nanos(
            (f64::from(*median) * 1e9).round() as u64
        ))
    }
}

fn tick(now: u64) -> u32 {
    (now / TICK) as u32
}

fn level_of(in_flight: u32) -> usize {
    if in_flight < EXACT {
        return in_flight as usize;
    }
    let octave = in_flight.ilog2();
    let eighth = (in_flight >> (octave - 3)) & 7;
    (EXACT + (octave - EXACT.ilog2()) * 8 + eighth) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MILLISECOND;
    const START: u64 = 100 * SECOND;

    fn millis(latencies: &Latencies, in_flight: u32, now: u64) -> Option<u128> {
        let latency = latencies.at(in_flight, now)?;
        Some((latency.as_secs_f64() * 1e3).round() as u128)
    }

    #[test]
    fn levels_grow_by_an_eighth_at_most_and_leave_none_out() {
        let mut last = 0;
        for in_flight in 1..100_000u32 {
            let level = level_of(in_flight);
            assert!(level == last || level == last + 1, "{in_flight}");
            last = level;
        }
        for (from, to) in [(1, 2), (15, 16), (16, 18), (18, 20), (1 << 20, 9 << 17)] {
            assert_eq!(level_of(to), level_of(from) + 1, "{from}");
            assert_eq!(level_of(to - 1), level_of(from), "{from}");
        }
        assert_eq!(level_of(u32::MAX), LEVELS - 1);
    }

    #[test]
    fn nothing_is_known_before_the_first_answer() {
        assert_eq!(millis(&Latencies::new(), 1, START), None);
    }

    #[test]
    fn it_is_the_median_of_the_answers_at_the_level() {
        let latencies = Latencies::new();
        for in_flight in 1..=10 {
            for sample in 0..32 {
                let latency = u64::from(in_flight) * 100 + sample;
                latencies.note(in_flight, latency * MILLISECOND, START);
            }
        }
        assert_eq!(millis(&latencies, 1, START), Some(116));
        assert_eq!(millis(&latencies, 7, START), Some(716));
        // A single one that is slow moves the median by one place at most.
        latencies.note(7, 60 * SECOND, START);
        assert_eq!(millis(&latencies, 7, START), Some(717));
    }

    #[test]
    fn the_nearest_levels_make_up_for_what_is_missing() {
        let latencies = Latencies::new();
        for _ in 0..10 {
            latencies.note(3, 30 * MILLISECOND, START);
            latencies.note(6, 60 * MILLISECOND, START);
            latencies.note(9, 90 * MILLISECOND, START);
        }
        // From 5: 6, and then 3, which is enough.
        assert_eq!(millis(&latencies, 5, START), Some(60));
        assert_eq!(millis(&latencies, 2, START), Some(60));
        assert_eq!(millis(&latencies, 1_000_000, START), Some(90));
        for _ in 0..6 {
            latencies.note(3, 30 * MILLISECOND, START);
        }
        assert_eq!(millis(&latencies, 2, START), Some(30));
    }

    #[test]
    fn answers_are_forgotten_after_a_minute_and_after_thirty_two_more() {
        let latencies = Latencies::new();
        latencies.note(2, 70 * MILLISECOND, START);
        assert_eq!(millis(&latencies, 2, START + 59 * SECOND), Some(70));
        assert_eq!(millis(&latencies, 2, START + 61 * SECOND), None);
        for _ in 0..32 {
            latencies.note(2, 20 * MILLISECOND, START + SECOND);
        }
        assert_eq!(millis(&latencies, 2, START + SECOND), Some(20));
    }

    #[test]
    fn no_time_and_all_the_time_are_latencies() {
        let latencies = Latencies::new();
        latencies.note(0, 0, 0);
        assert_eq!(latencies.at(0, 0), Some(Duration::ZERO));
        let latencies = Latencies::new();
        latencies.note(u32::MAX, u64::MAX, u64::MAX);
        let most = latencies.at(u32::MAX, u64::MAX).unwrap();
        assert!(
            most > Duration::from_secs(500 * 365 * 24 * 3600),
            "{most:?}"
        );
    }

    #[test]
    fn a_clock_that_is_ahead_makes_no_answer_old() {
        let latencies = Latencies::new();
        latencies.note(1, MILLISECOND, START + SECOND);
        assert_eq!(millis(&latencies, 1, START), Some(1));
    }
}
