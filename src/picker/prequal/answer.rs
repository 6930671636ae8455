//! One answer of a backend in one word.

use std::time::Duration;

/// What a place of the pool holds, packed so that it changes in one step:
///
/// ```text
///  63        40 39      20 19   10 9      2 1     0
/// |  latency   |   RIF    | uses  | version | state |
/// ```
///
/// The version changes with each answer that the place is given, so that a step meant for one
/// answer does not hit the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer(u64);

/// The word of a place that never held one.
pub(super) const EMPTY: u64 = 0;

const STATE: u64 = 0b11;
const BUSY: u64 = 1;
const FULL: u64 = 2;
const VERSION: u32 = 2;
const USES: u32 = 10;
const RIF: u32 = 20;
const LATENCY: u32 = 40;

const VERSIONS: u64 = (1 << (USES - VERSION)) - 1;
const MAX_USES: u64 = (1 << (RIF - USES)) - 1;
const MAX_RIF: u64 = (1 << (LATENCY - RIF)) - 1;
/// A latency is the upper half of a float, whose order as a number is that of the float.
const DROPPED: u32 = 7;

impl Answer {
    pub(super) fn from_word(word: u64) -> Self {
        Self(word)
    }

    pub(super) fn word(self) -> u64 {
        self.0
    }

    pub(super) fn is_full(self) -> bool {
        self.0 & STATE == FULL
    }

    /// Whether somebody is writing it.
    pub(super) fn is_busy(self) -> bool {
        self.0 & STATE == BUSY
    }

    /// Whether it is the same answer, used more often perhaps.
    pub(super) fn is_still(self, before: Self) -> bool {
        let same = (VERSIONS << VERSION) | STATE;
        self.0 & same == before.0 & same
    }

    /// Of a place that is being given another answer.
    pub(super) fn claimed(self) -> Self {
        let version = ((self.0 >> VERSION) + 1) & VERSIONS;
        Self((version << VERSION) | BUSY)
    }

    /// Of a place that is being emptied.
    pub(super) fn emptied(self) -> Self {
        Self(self.0 & (VERSIONS << VERSION))
    }

    /// A new one, at a place that was claimed for it. Counts and latencies beyond what fits stop
    /// there; one that says nothing of latency counts as the fastest: it
    /// has answered nobody lately, and otherwise never would.
    pub(super) fn filled(self, rif: u32, latency: Option<Duration>) -> Self {
        let seconds = latency.map_or(0.0, |latency| latency.as_secs_f32());
        let latency = u64::from(seconds.to_bits() >> DROPPED);
        let version = self.0 & (VERSIONS << VERSION);
        let rif = u64::from(rif).min(MAX_RIF);
        Self((latency << LATENCY) | (rif << RIF) | version | FULL)
    }

    /// With one more request, which it was used for.
    pub(super) fn used(self) -> Self {
        let rif = u64::from(self.rif() < MAX_RIF as u32) << RIF;
        let uses = u64::from(self.uses() < MAX_USES as u32) << USES;
        Self(self.0 + rif + uses)
    }

    pub(super) fn rif(self) -> u32 {
        ((self.0 >> RIF) & MAX_RIF) as u32
    }

    pub(super) fn uses(self) -> u32 {
        ((self.0 >> USES) & MAX_USES) as u32
    }

    /// What is least for the best: first the cold, by latency, then the hot, by RIF. Less than 2^45.
    #[inline]
    pub(super) fn rank(self, hot_from: u32) -> u64 {
        let rif = u64::from(self.rif());
        let latency = self.0 >> LATENCY;
        let hot = (1 << (64 - RIF)) | (rif << (64 - LATENCY)) | latency;
        let cold = (latency << (LATENCY - RIF)) | rif;
        if self.rif() >= hot_from { hot } else { cold }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOT: u32 = 5;

    fn answer(rif: u32, micros: u64) -> Answer {
        let place = Answer::from_word(EMPTY).claimed();
        place.filled(rif, Some(Duration::from_micros(micros)))
    }

    #[test]
    fn the_cold_come_first_by_latency_and_the_hot_last_by_rif() {
        let order = [
            Answer::from_word(EMPTY).filled(0, None),
            answer(4, 10),
            answer(0, 11),
            answer(1, 11),
            answer(2, 90_000_000),
            answer(5, 2),
            answer(5, 3),
            answer(6, 1),
            answer(u32::MAX, 1),
        ];
        let ranks = order.map(|answer| answer.rank(HOT));
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:x?}");
    }

    #[test]
    fn uses_and_requests_are_counted_up_to_what_fits_and_change_nothing_else() {
        let mut used = answer(7, 20);
        for uses in 1..=3 {
            used = used.used();
            assert_eq!((used.rif(), used.uses()), (7 + uses, uses));
        }
        assert_eq!(used.0 >> LATENCY, answer(7, 20).0 >> LATENCY);
        assert!(used.is_full() && used.is_still(answer(7, 20)));

        let mut most = answer(u32::MAX, 20);
        for _ in 0..2_000 {
            most = most.used();
        }
        assert_eq!(most.rif(), MAX_RIF as u32);
        assert_eq!(most.uses(), MAX_USES as u32);
        assert_eq!(most.0 >> LATENCY, answer(7, 20).0 >> LATENCY);
    }

    #[test]
    fn the_next_answer_at_a_place_is_another() {
        let first = answer(1, 1);
        assert!(first.claimed().is_busy());
        let next = first.emptied().claimed().filled(1, None);
        assert!(next.is_full() && !next.is_still(first));
        assert!(!first.emptied().is_full() && !first.emptied().is_busy());
    }
}
