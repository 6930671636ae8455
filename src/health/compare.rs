//! Compares what backends did in an interval: the rules that look at rates and means.

use std::collections::HashSet;
use std::time::Duration;

use super::Ejection;
use crate::backend::{Handle, Live, Why};

/// What had been recorded of a backend's requests at some time, or between two.
#[derive(Clone, Copy, Default)]
pub(super) struct Recorded {
    successes: u64,
    failures: u64,
    /// In nanoseconds, of those that were measured.
    latency: u64,
    measured: u64,
}

/// A backend that is to be ejected.
pub(super) struct Outlier {
    pub(super) handle: Handle,
    pub(super) why: Why,
    badness: f64,
}

/// How long backends took to answer.
pub(super) struct Latencies {
    means: Vec<(Handle, Duration)>,
    median: Duration,
    /// What is slower is an outlier.
    most: Duration,
}

/// The least distance from the mean that makes an outlier: where all others are perfect, one
/// failure in a hundred would be one.
const NOTABLE: f64 = 0.05;

/// Finds those that break a rule, the worst first. `latencies` are those of the same interval.
pub(super) fn outliers(
    rules: &Ejection,
    interval: &[(Handle, Recorded)],
    latencies: Option<Latencies>,
) -> Vec<Outlier> {
    let enough = |of: &&(Handle, Recorded)| of.1.requests() >= rules.minimum_requests;
    let mut enough: Vec<_> = interval.iter().filter(enough).copied().collect();
    if enough.len() < rules.minimum_backends {
        enough.clear();
    }
    let mut outliers = too_few_successes(rules, &enough);
    outliers.extend(too_many_failures(rules, &enough));
    outliers.extend(latencies.into_iter().flat_map(Latencies::too_slow));
    outliers.sort_by(|a, b| b.badness.total_cmp(&a.badness));
    let mut seen = HashSet::new();
    outliers.retain(|outlier| seen.insert(outlier.handle));
    outliers
}

fn too_few_successes(rules: &Ejection, interval: &[(Handle, Recorded)]) -> Vec<Outlier> {
    let Some(factor) = rules.success_rate else {
        return Vec::new();
    };
    let count = interval.len() as f64;
    let rates = || interval.iter().map(|(_, of)| of.success_rate());
    let mean = rates().sum::<f64>() / count;
    let variance = rates().map(|rate| (rate - mean).powi(2)).sum::<f64>() / count;
    let least = mean - (factor * variance.sqrt()).max(NOTABLE);
    let low = interval
        .iter()
        .map(|&(handle, of)| (handle, of.success_rate()));
    let low = low.filter(|&(_, rate)| rate < least - 1e-9);
    low.map(|(handle, rate)| Outlier {
        handle,
        badness: 1.0 - rate,
        why: Why::SuccessRate { rate, least },
    })
    .collect()
}

fn too_many_failures(rules: &Ejection, interval: &[(Handle, Recorded)]) -> Vec<Outlier> {
    let Some(percent) = rules.failure_percentage else {
        return Vec::new();
    };
    let many = |of: &Recorded| of.failures as f64 * 100.0 >= percent * of.requests() as f64;
    let many = interval.iter().filter(|(_, of)| many(of));
    many.map(|&(handle, of)| Outlier {
        handle,
        badness: 1.0 - of.success_rate(),
        why: Why::FailurePercentage {
            failures: of.failures,
            requests: of.requests(),
        },
    })
    .collect()
}

impl Latencies {
    /// `None` if that is no matter, or if too few have been measured.
    pub(super) fn of(rules: &Ejection, interval: &[(Handle, Recorded)]) -> Option<Self> {
        let limit = rules.latency?;
        let least = rules.minimum_requests.div_ceil(8);
        let measured = interval.iter().filter(|(_, of)| of.measured >= least);
        let mut means: Vec<(Handle, Duration)> = measured
            .map(|(handle, of)| (*handle, Duration::from_nanos(of.latency / of.measured)))
            .collect();
        if means.len() < rules.minimum_backends.max(2) {
            return None;
        }
        means.sort_by_key(|&(_, mean)| mean);
        // Of an even number the lower one: the slow half of two is no measure for itself.
        let median = means[(means.len() - 1) / 2].1;
        Some(Self {
            means,
            median,
            most: median.mul_f64(limit.factor).max(limit.floor),
        })
    }

    /// What is usual for each: its own mean, unless it is above the median.
    pub(super) fn usual(&self) -> impl Iterator<Item = (Handle, Duration)> {
        let means = self.means.iter();
        means.map(|&(handle, mean)| (handle, mean.min(self.median)))
    }

    fn too_slow(self) -> impl Iterator<Item = Outlier> {
        let most = self.most;
        let slow = self.means.into_iter().filter(move |&(_, mean)| mean > most);
        slow.map(move |(handle, mean)| Outlier {
            handle,
            // Not as bad as a failing one.
            badness: -1.0 / mean.as_secs_f64(),
            why: Why::Latency { mean, most },
        })
    }
}

impl Recorded {
    pub(super) fn of(live: &Live) -> Self {
        let Some(record) = live.record() else {
            return Self::default();
        };
        let counts = record.counts();
        let (latency, measured) = record.latencies();
        Self {
            successes: counts.successes(),
            failures: counts.failures(),
            latency,
            measured,
        }
    }

    pub(super) fn since(self, before: Self) -> Self {
        Self {
            successes: self.successes.wrapping_sub(before.successes),
            failures: self.failures.wrapping_sub(before.failures),
            latency: self.latency.wrapping_sub(before.latency),
            measured: self.measured.wrapping_sub(before.measured),
        }
    }

    /// Adds requests that have waited for so long together, in nanoseconds, and go on waiting.
    pub(super) fn with_waiting(mut self, requests: u64, age: u64) -> Self {
        self.latency = self.latency.saturating_add(age);
        self.measured += requests;
        self
    }

    fn requests(self) -> u64 {
        self.successes + self.failures
    }

    fn success_rate(self) -> f64 {
        self.successes as f64 / self.requests().max(1) as f64
    }
}
