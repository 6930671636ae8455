//! Timed batches in interleaved rounds, and what is made of them.

use std::time::{Duration, Instant};

/// How much time is spent on a figure.
pub(crate) struct Effort {
    /// How long one batch of a case takes, about: short, so that some are not interrupted.
    pub(crate) batch: Duration,
    pub(crate) rounds: usize,
}

/// In each round a case runs so many batches.
pub(crate) const BATCHES: usize = 8;

/// One thing to measure: how to do it n times.
pub(crate) struct Case {
    run: Box<dyn FnMut(u64)>,
    /// Undoes what running has left behind.
    clear: Box<dyn FnMut()>,
}

/// Nanoseconds for one time, in each batch or round.
#[derive(Default)]
pub(crate) struct Samples(Vec<f64>);

impl Case {
    pub(crate) fn new(run: impl FnMut(u64) + 'static) -> Self {
        Self {
            run: Box::new(run),
            clear: Box::new(|| {}),
        }
    }

    /// Does something after each batch that does not count.
    pub(crate) fn clear(self, clear: impl FnMut() + 'static) -> Self {
        let clear = Box::new(clear);
        Self { clear, ..self }
    }

    /// Keeps something for as long as this may run.
    pub(crate) fn keep<K: 'static>(mut self, kept: K) -> Self {
        let run = move |n| {
            let _kept = &kept;
            (self.run)(n);
        };
        Self {
            run: Box::new(run),
            clear: self.clear,
        }
    }

    /// Returns how often it allocates each time.
    pub(crate) fn allocations(&mut self) -> f64 {
        const TIMES: u64 = 1_000;
        (self.run)(TIMES / 10);
        (self.clear)();
        let info = allocation_counter::measure(|| (self.run)(TIMES));
        (self.clear)();
        info.count_total as f64 / TIMES as f64
    }

    /// Returns what one time takes, in nanoseconds.
    fn round(&mut self, times: u64) -> f64 {
        // Those that ran since its last turn have pushed its data out of the caches.
        (self.run)(times);
        (self.clear)();
        let batches = (0..BATCHES).map(|_| self.batch(times));
        batches.collect::<Samples>().undisturbed()
    }

    fn batch(&mut self, times: u64) -> f64 {
        let start = Instant::now();
        (self.run)(times);
        let elapsed = start.elapsed();
        (self.clear)();
        elapsed.as_nanos() as f64 / times as f64
    }

    /// Returns how many times fill a batch.
    fn fill(&mut self, batch: Duration) -> u64 {
        // Some do all their building at the first request.
        (self.run)(1);
        (self.clear)();
        let batch = batch.as_nanos() as f64;
        let mut times = 1;
        loop {
            // A pause that the system makes looks like a slow case; it does not come three times.
            let quickest = (0..3).map(|_| self.batch(times)).fold(f64::MAX, f64::min);
            if quickest * times as f64 * 4.0 > batch {
                return ((batch / quickest) as u64).max(1);
            }
            times *= 4;
        }
    }
}

impl Samples {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The lower quartile: what it takes when nothing else gets in the way, and without luck. Not a
    /// number if there are none.
    pub(crate) fn undisturbed(&self) -> f64 {
        let sorted = self.sorted();
        sorted.get(sorted.len() / 4).copied().unwrap_or(f64::NAN)
    }

    /// Returns how many times longer these took than `other`, which was measured in the same
    /// rounds: the median of the rounds' ratios, so that what slowed a whole round does not count.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        let pairs = self.0.iter().zip(&other.0);
        pairs
            .map(|(mine, its)| mine / its)
            .collect::<Self>()
            .median()
    }

    /// Returns how much longer these took than `other`: the median of the rounds' differences.
    pub(crate) fn beyond(&self, other: &Self) -> f64 {
        let pairs = self.0.iter().zip(&other.0);
        pairs
            .map(|(mine, its)| mine - its)
            .collect::<Self>()
            .median()
    }

    /// Not a number if there are none.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn greatest(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::max)
    }

    /// Adds those of further rounds.
    pub(crate) fn append(&mut self, mut other: Self) {
        self.0.append(&mut other.0);
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl Extend<f64> for Samples {
    fn extend<I: IntoIterator<Item = f64>>(&mut self, nanos: I) {
        self.0.extend(nanos);
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(nanos: I) -> Self {
        Self(nanos.into_iter().collect())
    }
}

/// Measures all cases in turn (A B C, A B C, ...), so that noise from outside meets them alike.
pub(crate) fn interleave(cases: &mut [Case], effort: &Effort) -> Vec<Samples> {
    let mut samples: Vec<_> = cases.iter().map(|_| Samples::default()).collect();
    // The counter of allocations costs something for each of them, and only the peer allocates.
    allocation_counter::opt_out(|| {
        let times: Vec<u64> = cases
            .iter_mut()
            .map(|case| case.fill(effort.batch))
            .collect();
        for _ in 0..effort.rounds {
            for ((case, &times), samples) in cases.iter_mut().zip(&times).zip(&mut samples) {
                samples.0.push(case.round(times));
            }
        }
    });
    samples
}
