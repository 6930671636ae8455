//! What C3 knows of each backend.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::backend::{Observation, Outcome};

/// In nanoseconds and requests. `Relaxed`: each number stands for itself.
pub(super) struct Stats {
    pub(super) response: Average,
    pub(super) service: Average,
    pub(super) queue: Average,
    /// When the last response time was learnt.
    at: AtomicU64,
}

/// A moving average, or NaN before the first sample.
pub(super) struct Average(AtomicU64);

/// The share of the newest sample.
const ALPHA: f64 = 0.9;
/// What a failure counts as at least: 1 s, as in the pool's own latency.
const FAILED: f64 = 1e9;

impl Default for Stats {
    /// Nothing is known of it yet.
    fn default() -> Self {
        Self {
            response: Average::new(),
            service: Average::new(),
            queue: Average::new(),
            at: AtomicU64::new(0),
        }
    }
}

impl Stats {
    pub(super) fn at(&self) -> u64 {
        self.at.load(Ordering::Relaxed)
    }

    pub(super) fn respond(&self, took: Duration, outcome: Outcome, observation: &Observation) {
        let took = nanos(took);
        let average = self.response.get();
        let sample = match (outcome, average) {
            (Outcome::Success, _) => took,
            // It says too little to begin with.
            (Outcome::Cancelled, None) => return,
            (Outcome::Cancelled, Some(average)) => took.max(average),
            (Outcome::Failure(_) | Outcome::Rejected, _) => {
                took.max(average.unwrap_or(0.0)).max(FAILED)
            }
        };
        self.response.add(sample);
        self.at.fetch_max(observation.nanos(), Ordering::Relaxed);
    }

    pub(super) fn learn(&self, queue: Option<u32>, service: Option<Duration>) {
        if let Some(queue) = queue {
            self.queue.add(f64::from(queue));
        }
        if let Some(service) = service {
            self.service.add(nanos(service));
        }
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}

impl Average {
    fn new() -> Self {
        Self(AtomicU64::new(f64::NAN.to_bits()))
    }

    pub(super) fn get(&self) -> Option<f64> {
        let average = f64::from_bits(self.0.load(Ordering::Relaxed));
        (!average.is_nan()).then_some(average)
    }

    fn add(&self, sample: f64) {
        let next = |bits| {
            let average = f64::from_bits(bits);
            Some(if average.is_nan() {
                sample.to_bits()
            } else {
                (ALPHA * sample + (1.0 - ALPHA) * average).to_bits()
            })
        };
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}
