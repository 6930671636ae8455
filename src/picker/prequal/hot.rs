//! From how many requests in flight on a backend is hot.

use std::sync::atomic::{AtomicU32, Ordering};

/// A quantile of the requests in flight of the last answers.
///
/// They are kept in a ring. The quantile is brought up to date with each of the first 16 answers,
/// and then with every eighth, which costs less than keeping them sorted.
///
/// `Relaxed` throughout: each value stands for itself, and one that is lost or late among so many
/// moves nothing.
pub(super) struct Hot {
    quantile: f64,
    next: AtomicU32,
    recent: Box<[AtomicU32]>,
    from: AtomicU32,
}

/// How many answers are kept at most: what is sorted stands on the stack.
pub(super) const MAX_RECENT: usize = 256;
const ALWAYS: usize = 16;
const EVERY: usize = 8;

impl Hot {
    pub(super) fn new(quantile: f64, recent: usize) -> Self {
        let unset = || AtomicU32::new(0);
        Self {
            quantile,
            next: AtomicU32::new(0),
            recent: std::iter::repeat_with(unset)
                .take(recent.clamp(1, MAX_RECENT))
                .collect(),
            // With a quantile of 0 nobody is cold, with 1 nobody hot.
            from: AtomicU32::new(if quantile > 0.0 { u32::MAX } else { 0 }),
        }
    }

    /// How many requests in flight are too many to be cold.
    pub(super) fn from(&self) -> u32 {
        self.from.load(Ordering::Relaxed)
    }

    pub(super) fn record(&self, rif: u32) {
        if self.quantile <= 0.0 || self.quantile >= 1.0 {
            return;
        }
        let len = self.recent.len();
        let taken = self.next.fetch_add(1, Ordering::Relaxed) as usize;
        self.recent[taken % len].store(rif, Ordering::Relaxed);
        if taken >= ALWAYS && !taken.is_multiple_of(EVERY) {
            return;
        }
        // Once the count has come round, for a few answers only the first are looked at.
        let known = (taken + 1).min(len);
        let mut sorted = [0; MAX_RECENT];
        for (to, from) in sorted.iter_mut().zip(&self.recent[..known]) {
            *to = from.load(Ordering::Relaxed);
        }
        let at = (self.quantile * known as f64).ceil() as usize;
        let (_, &mut quantile, _) =
            sorted[..known].select_nth_unstable(at.saturating_sub(1).min(known - 1));
        self.from
            .store(quantile.saturating_add(1), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(quantile: f64, recent: usize, answers: impl IntoIterator<Item = u32>) -> u32 {
        let hot = Hot::new(quantile, recent);
        answers.into_iter().for_each(|rif| hot.record(rif));
        hot.from()
    }

    #[test]
    fn more_than_the_quantile_is_hot() {
        // Of 10 values 84 % are at or below the ninth.
        assert_eq!(after(0.84, 128, [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]), 9);
        assert_eq!(after(0.5, 128, [1, 2, 3, 4]), 3);
        assert_eq!(after(0.01, 128, [7, 3, 5]), 4);
        assert_eq!(after(0.99, 128, [u32::MAX]), u32::MAX);
    }

    #[test]
    fn all_are_hot_at_a_quantile_of_0_and_none_at_1() {
        assert_eq!(after(0.0, 128, [3, 4, 5]), 0);
        assert_eq!(after(1.0, 128, [3, 4, 5]), u32::MAX);
    }

    #[test]
    fn only_the_last_answers_count() {
        let answers = [100; 16].into_iter().chain([2; 16]);
        assert_eq!(after(0.84, 16, answers.chain([2])), 3);
    }

    #[test]
    fn it_is_brought_up_to_date_with_every_eighth_answer() {
        let hot = Hot::new(0.5, 16);
        (0..17).for_each(|_| hot.record(1));
        (0..7).for_each(|_| hot.record(9));
        assert_eq!(hot.from(), 2);
        (0..9).for_each(|_| hot.record(9));
        assert_eq!(hot.from(), 10);
    }
}
