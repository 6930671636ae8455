//! gRPC's static stride scheduler: whose turn it is, by weights that change while it runs.
//!
//! The turns are counted. A turn belongs to the place `turn % n`, in the round `turn / n`. The
//! place takes it in as many of 65,535 rounds as its scaled weight says, and skips it in the others.

use std::sync::atomic::{AtomicU16, Ordering};

/// The scaled weight of each place: 65,535 for the largest.
///
/// `Relaxed`: each weight stands for itself. Whoever reads some of before and some of after a change
/// goes by a mixture of the two.
pub(super) struct Stride(Box<[AtomicU16]>);

const FULL: u64 = u16::MAX as u64;

/// Moves the rounds in which neighbours skip their turn away from each other.
const OFFSET: u64 = FULL / 2;

/// What is more than so many times the mean weight counts as that, so that a pick looks at ten
/// places on average, at most.
const MAX_RATIO: f64 = 10.0;

/// What is less than this part of the mean weight counts as that.
const MIN_RATIO: f64 = 0.01;

impl Stride {
    /// So many places of the same weight.
    pub(super) fn new(places: usize) -> Self {
        Self((0..places).map(|_| AtomicU16::new(u16::MAX)).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The place whose turn it is, if it takes it. Of a turn's number 32 bits count, as in gRPC: a
    /// division of more takes twice as long.
    #[inline]
    pub(super) fn place(&self, turn: u64) -> Option<usize> {
        let (turn, n) = (turn as u32, self.0.len() as u32);
        let (place, round) = (turn.checked_rem(n)?, turn.checked_div(n)?);
        let weight = u64::from(self.0.get(place as usize)?.load(Ordering::Relaxed));
        let phase = (weight * u64::from(round) + u64::from(place) * OFFSET) % FULL;
        (phase >= FULL - weight).then_some(place as usize)
    }

    /// Sets all weights, in two looks at each. A place whose weight is not known gets the mean of
    /// the others; while fewer than two are known, all places are alike.
    pub(super) fn set(&self, weight_of: impl Fn(usize) -> Option<f64>) {
        let (mut sum, mut max, mut known) = (0.0, 0.0f64, 0u32);
        for weight in (0..self.len()).filter_map(&weight_of) {
            sum += weight;
            max = max.max(weight);
            known += 1;
        }
        if known < 2 {
            self.set_each(|_place| FULL as f64);
            return;
        }
        let mean = sum / f64::from(known);
        let max = max.min(MAX_RATIO * mean);
        let scale = FULL as f64 / max;
        let mean = (scale * mean).round();
        let least = (mean * MIN_RATIO).round().max(1.0);
        self.set_each(|place| match weight_of(place) {
            None => mean,
            Some(weight) => (weight.min(max) * scale).round().max(least),
        });
    }

    fn set_each(&self, scaled: impl Fn(usize) -> f64) {
        for (place, weight) in self.0.iter().enumerate() {
            // The cast saturates, and never to 0, with which a place would take no turn at all.
            weight.store((scaled(place) as u16).max(1), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stride(weights: &[Option<f64>]) -> Stride {
        let stride = Stride::new(weights.len());
        stride.set(|place| weights[place]);
        stride
    }

    fn scaled(weights: &[Option<f64>]) -> Vec<u16> {
        let Stride(scaled) = stride(weights);
        scaled.iter().map(|it| it.load(Ordering::Relaxed)).collect()
    }

    fn counts(stride: &Stride, turns: std::ops::Range<u64>) -> Vec<u32> {
        let mut counts = vec![0; stride.len()];
        for place in turns.filter_map(|turn| stride.place(turn)) {
            counts[place] += 1;
        }
        counts
    }

    #[test]
    fn the_largest_weight_is_scaled_to_65535_and_the_unknown_get_the_mean() {
        assert_eq!(
            scaled(&[Some(1.0), Some(3.0), None, Some(2.0)]),
            [21_845, 65_535, 43_690, 43_690]
        );
    }

    #[test]
    fn fewer_than_two_known_weights_make_all_alike() {
        assert_eq!(scaled(&[None, Some(3.0), None]), [65_535; 3]);
        assert_eq!(scaled(&[None, None]), [65_535; 2]);
        assert!(scaled(&[]).is_empty());
    }

    #[test]
    fn weights_count_as_ten_times_the_mean_at_most_and_a_hundredth_at_least() {
        // 99 of 1 and one of 901: a mean of 10, so at most 100 counts.
        let mut weights = vec![Some(1.0); 99];
        weights.push(Some(901.0));
        let scaled_weights = scaled(&weights);
        assert_eq!(scaled_weights[99], 65_535);
        assert_eq!(scaled_weights[0], 655);
        // A mean of 2/3 of the largest.
        let tiny = scaled(&[Some(1.0), Some(1.0), Some(1e-9)]);
        assert_eq!(tiny, [65_535, 65_535, 437]);
    }

    #[test]
    fn in_65535_rounds_each_place_takes_as_many_turns_as_its_scaled_weight() {
        for start in [0, 1, u64::from(u32::MAX) - 65_535 * 4] {
            // From the beginning of a round.
            let start = start - start % 3;
            let stride = stride(&[Some(1.0), Some(3.0), Some(2.0)]);
            let counts = counts(&stride, start..start + 65_535 * 3);
            assert_eq!(counts, [21_845, 65_535, 43_690], "from {start}");
        }
    }

    #[test]
    fn turns_are_spread() {
        // 1 to 2: never more than two of the second in a row.
        let stride = stride(&[Some(1.0), Some(2.0)]);
        let picks: Vec<usize> = (0..600).filter_map(|turn| stride.place(turn)).collect();
        assert!(
            picks.windows(3).all(|three| three.contains(&0)),
            "{picks:?}"
        );
        assert!(picks.windows(2).all(|two| two.contains(&1)), "{picks:?}");
    }

    #[test]
    fn neighbours_of_the_same_weight_do_not_skip_the_same_rounds() {
        let stride = stride(&[Some(4.0), Some(4.0), Some(5.0)]);
        let both_skip = |round: u64| (0..2).all(|place| stride.place(3 * round + place).is_none());
        assert_eq!((0..1_000).filter(|&round| both_skip(round)).count(), 0);
    }
}
