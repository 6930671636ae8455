//! Averages and straight lines, learnt from one sample after the other.

use std::sync::atomic::{AtomicU32, Ordering};

/// A number that threads share; of two that write at the same time, one is forgotten.
#[derive(Default)]
pub(super) struct Number(AtomicU32);

impl Number {
    #[inline]
    pub(super) fn get(&self) -> f32 {
        f32::from_bits(self.0.load(Ordering::Relaxed))
    }

    #[inline]
    pub(super) fn set(&self, value: f32) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    /// Mixes a sample in.
    pub(super) fn mix(&self, sample: f32, share: f32) {
        self.set(self.get() + share * (sample - self.get()));
    }
}

/// A mean: of all samples at first, then a moving average over about `1 / share` of them.
#[derive(Default)]
pub(super) struct Mean {
    mean: Number,
    count: Number,
}

impl Mean {
    #[inline]
    pub(super) fn get(&self) -> f32 {
        self.mean.get()
    }

    /// Returns the share with which it was mixed in.
    pub(super) fn add(&self, sample: f32, share: f32) -> f32 {
        let count = self.count.get() + 1.0;
        self.count.set(count.min(1e6));
        let share = share.max(1.0 / count);
        self.mean.mix(sample, share);
        share
    }

    pub(super) fn count(&self) -> f32 {
        self.count.get()
    }
}

/// How `y` goes with `x`: least squares, with a memory of about `1 / share` samples.
#[derive(Default)]
pub(super) struct Trend {
    x: Mean,
    y: Number,
    xx: Number,
    xy: Number,
}

impl Trend {
    pub(super) fn add(&self, x: f32, y: f32, share: f32) {
        let from_x = x - self.x.get();
        let share = self.x.add(x, share);
        let from_y = y - self.y.get();
        self.y.mix(y, share);
        // Around means that have moved towards the sample: the first one says nothing.
        self.xx.mix(from_x * from_x * (1.0 - share), share);
        self.xy.mix(from_x * from_y * (1.0 - share), share);
    }

    pub(super) fn count(&self) -> f32 {
        self.x.count()
    }

    /// The slope. 0 as long as little is known, or `x` is always the same.
    #[inline]
    pub(super) fn slope(&self) -> f32 {
        const FEW: f32 = 20.0;
        let xx = self.xx.get();
        if self.x.count() < FEW || xx < 1e-9 {
            return 0.0;
        }
        self.xy.get() / xx
    }
}

/// How a time grows with the requests in flight, as a power of them, at all backends together.
#[derive(Default)]
pub(super) struct Level {
    /// Both as logarithms.
    power: Trend,
    usual: Mean,
}

impl Level {
    /// Takes note of a time; returns how long it is beside what is usual for that load.
    pub(super) fn add(&self, in_flight: f32, time: f32) -> f32 {
        const POWERS: f32 = 0.002;
        const USUAL: f32 = 0.01;
        let (load, time) = (in_flight.max(0.0) + 1.0, time.max(1e-3));
        let log = load.ln();
        self.power.add(log, time.ln(), POWERS);
        let power = self.power.slope().clamp(0.0, 1.0);
        let for_its_load = time * (-power * log).exp();
        self.usual.add(for_its_load, USUAL);
        for_its_load / self.usual.get()
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_that_of_all_at_first_and_of_the_latest_later() {
        let mean = Mean::default();
        for sample in [1.0, 2.0, 6.0] {
            mean.add(sample, 0.01);
        }
        assert!((mean.get() - 3.0).abs() < 1e-5);
        (0..2_000).for_each(|_| {
            mean.add(8.0, 0.01);
        });
        assert!((mean.get() - 8.0).abs() < 1e-3);
    }

    #[test]
    fn the_slope_of_a_line_is_found_whatever_the_first_sample() {
        for first in [0.0, 1e3] {
            let trend = Trend::default();
            trend.add(first, 5.0 + 0.5 * first, 0.003);
            for at in 0..100 {
                let x = f32::from(at % 7_u8);
                trend.add(x, 5.0 + 0.5 * x, 0.003);
            }
            assert!((trend.slope() - 0.5).abs() < 1e-2, "{}", trend.slope());
        }
    }

    #[test]
    fn nothing_is_foretold_by_what_never_changes_or_by_few_samples() {
        let (constant, few) = (Trend::default(), Trend::default());
        (0..1_000).for_each(|_| constant.add(3.0, 4.0, 0.003));
        (0..19_u8).for_each(|x| few.add(f32::from(x), f32::from(x), 0.003));
        assert!(constant.slope().abs() < 1e-6 && few.slope().abs() < 1e-6);
    }

    #[test]
    fn a_time_is_compared_with_what_is_usual_for_its_load() {
        let level = Level::default();
        for at in 0..3_000 {
            let load = f32::from(at as u8 % 10);
            level.add(load, 100.0 * (load + 1.0));
        }
        // In proportion to the load, and twice that.
        for load in [0.0, 3.0, 9.0] {
            let beside = level.add(load, 200.0 * (load + 1.0));
            assert!((1.8..2.1).contains(&beside), "{beside} at {load}");
        }
    }
}
