use std::array;
use std::sync::OnceLock;

use super::histogram::Histogram;
use super::{Failure, Latencies, Outcome};
use crate::sync::{AtomicU64, Ordering};

/// The part of what has become of a backend's requests that successes do not touch: what kinds of
/// failures there were, and how long requests took, if that is wanted.
///
/// Statistics, each read on its own: hence `Relaxed`.
#[derive(Debug)]
pub(super) struct Traffic {
    failures: [AtomicU64; Failure::ALL.len()],
    /// Boxed, since only some pools want to know.
    latencies: OnceLock<Box<Histogram>>,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Self {
            failures: array::from_fn(|_| AtomicU64::new(0)),
            latencies: OnceLock::new(),
        }
    }

    /// From now on latencies are kept.
    pub(super) fn keep_latencies(&self) {
        self.latencies.get_or_init(|| Box::new(Histogram::new()));
    }

    pub(super) fn failed(&self, failure: Failure) {
        self.failures[failure.place()].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failures(&self) -> [u64; Failure::ALL.len()] {
        array::from_fn(|place| self.failures[place].load(Ordering::Relaxed))
    }

    /// Notes how long a request took, if that says how long the backend takes.
    pub(super) fn took(&self, nanos: u64, outcome: Outcome, now: u64) {
        let tells = matches!(
            outcome,
            Outcome::Success | Outcome::Failure(Failure::Timeout)
        );
        if let Some(latencies) = self.latencies.get().filter(|_| tells) {
            latencies.note(nanos, now);
        }
    }

    pub(super) fn latencies(&self, now: u64) -> Option<Latencies> {
        Some(self.latencies.get()?.read(now))
    }
}

impl Failure {
    pub(crate) const ALL: [Self; 6] = [
        Self::Connect,
        Self::Timeout,
        Self::Gateway,
        Self::Response,
        Self::Body,
        Self::Other,
    ];

    /// Where it stands among [`ALL`](Self::ALL).
    pub(super) fn place(self) -> usize {
        match self {
            Self::Connect => 0,
            Self::Timeout => 1,
            Self::Gateway => 2,
            Self::Response => 3,
            Self::Body => 4,
            Self::Other => 5,
        }
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn each_failure_stands_in_its_own_place() {
        for (place, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(failure.place(), place);
        }
    }
}
