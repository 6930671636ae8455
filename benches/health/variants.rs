//! Two or three things that are compared: cases that are measured in the same rounds.

use std::pin::Pin;
use std::time::Duration;

use evenkeel::Pool;
use evenkeel::health::{Ejection, Ended, Health};

use super::Plan;
use super::common::measure::{Case, Samples, interleave};

/// Whether anybody watches the health of a pool.
#[derive(Clone, Copy)]
pub(crate) enum Watch {
    Nobody,
    /// By the default rules.
    Default,
    /// And latencies, too.
    Latency,
}

/// Whoever watches, for as long as it is kept. It records from the beginning, without being polled.
pub(crate) type Watcher = Option<Pin<Box<dyn Future<Output = Ended>>>>;

/// What one row's variants took at one size.
pub(crate) struct Measured<const N: usize> {
    pub(crate) samples: [Samples; N],
    /// The most of those of all pools.
    pub(crate) allocations: [f64; N],
}

impl Watch {
    pub(crate) const ALL: [Self; 3] = [Self::Nobody, Self::Default, Self::Latency];

    pub(crate) fn over<T>(self, pool: &Pool<T>) -> Watcher
    where
        T: Clone + Send + Sync + 'static,
    {
        let ejection = match self {
            Self::Nobody => return None,
            Self::Default => Ejection::new(),
            Self::Latency => Ejection::new()
                .latency(3.0, Duration::from_millis(10))
                .expect("a valid setting"),
        };
        Some(Box::pin(Health::new().ejection(ejection).watch(pool)))
    }
}

/// Measures variants in the same rounds, and again with new pools.
pub(crate) fn measure<const N: usize>(
    plan: &Plan,
    size: usize,
    make: impl Fn(usize) -> Case,
) -> Measured<N> {
    let effort = plan.effort(size);
    let mut measured = Measured {
        samples: std::array::from_fn(|_| Samples::default()),
        allocations: [0.0; N],
    };
    for time in 0..plan.pools {
        // Each is made first, and runs first, in its turn, and each after each: what ran before has
        // had the caches.
        let mut order: [usize; N] = std::array::from_fn(|at| (at + time) % N);
        if time % 2 == 1 {
            order.reverse();
        }
        let mut cases: Vec<Case> = order.iter().map(|&variant| make(variant)).collect();
        let samples = interleave(&mut cases, &effort);
        for ((variant, samples), mut case) in order.into_iter().zip(samples).zip(cases) {
            measured.samples[variant].append(samples);
            let most = &mut measured.allocations[variant];
            *most = most.max(case.allocations());
        }
    }
    measured
}
