//! Timed batches in interleaved rounds, and what is made of them.

use std::time::{Duration, Instant};

/// How much time is spent on a figure.
pub(crate) struct Effort {
    /// How long one batch of a case takes, about.
    pub(crate) batch: Duration,
    pub(crate) rounds: usize,
}

/// One thing to measure: how to do it n times.
pub(crate) struct Case<'a> {
    run: Box<dyn FnMut(u64) + 'a>,
}

/// Nanoseconds for one time, in each round.
pub(crate) struct Samples(Vec<f64>);

impl<'a> Case<'a> {
    pub(crate) fn new(run: impl FnMut(u64) + 'a) -> Self {
        Self { run: Box::new(run) }
    }

    /// Returns how often it allocates each time.
    pub(crate) fn allocations(&mut self) -> f64 {
        const TIMES: u64 = 1_000;
        (self.run)(TIMES / 10);
        let info = allocation_counter::measure(|| (self.run)(TIMES));
        info.count_total as f64 / TIMES as f64
    }

    fn time(&mut self, times: u64) -> f64 {
        // What a case leaves in the caches is pushed out by those that run before its next turn.
        (self.run)(times / 8);
        let start = Instant::now();
        (self.run)(times);
        start.elapsed().as_nanos() as f64 / times as f64
    }

    /// Returns how many times fill a batch.
    fn fill(&mut self, batch: Duration) -> u64 {
        let mut times = 1;
        loop {
            let nanos = self.time(times) * times as f64;
            let batch = batch.as_nanos() as f64;
            if nanos * 4.0 > batch {
                return ((times as f64 * batch / nanos) as u64).max(1);
            }
            times *= 4;
        }
    }
}

impl Samples {
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }

    /// Returns how many times longer these took than `other`, which was measured in the same
    /// rounds: the median of the rounds' ratios, so that what slowed a whole round does not count.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        let pairs = self.0.iter().zip(&other.0);
        Self(pairs.map(|(mine, its)| mine / its).collect()).median()
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(nanos: I) -> Self {
        Self(nanos.into_iter().collect())
    }
}

/// Measures all cases in turn (A B C, A B C, ...), so that noise from outside meets them alike.
pub(crate) fn interleave(cases: &mut [Case<'_>], effort: &Effort) -> Vec<Samples> {
    let mut samples: Vec<_> = cases.iter().map(|_| Samples(Vec::new())).collect();
    // The counter of allocations costs something for each of them, and only the peer allocates.
    allocation_counter::opt_out(|| {
        let times: Vec<u64> = cases
            .iter_mut()
            .map(|case| case.fill(effort.batch))
            .collect();
        for _ in 0..effort.rounds {
            for ((case, &times), samples) in cases.iter_mut().zip(&times).zip(&mut samples) {
                samples.0.push(case.time(times));
            }
        }
    });
    samples
}
