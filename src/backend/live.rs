use std::sync::Arc;
use std::time::{Duration, Instant};

use super::latency::{Average, Waiting};
use super::{Handle, LatencySettings, Outcome};
use crate::sync::{AtomicU32, Ordering};

/// What is shared by everyone who holds on to one backend: snapshots, requests, bodies.
///
/// Small on purpose. A load picker touches one of these for each candidate, and the first
/// cache line (with the `Arc`'s own counters) is all that it needs.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Live {
    /// `Relaxed` throughout: a load is a hint to pickers; nothing is published through it.
    in_flight: AtomicU32,
    handle: Handle,
    average: Average,
    waiting: Waiting,
    id: Arc<str>,
    latency: LatencySettings,
}

impl Live {
    pub(crate) fn new(id: Arc<str>, handle: Handle, latency: LatencySettings) -> Self {
        Self {
            in_flight: AtomicU32::new(0),
            handle,
            average: Average::new(),
            waiting: Waiting::new(),
            id,
            latency,
        }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn shared_id(&self) -> &Arc<str> {
        &self.id
    }

    pub(crate) fn handle(&self) -> Handle {
        self.handle
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed) as usize
    }

    /// The latency to expect, as far as anything is known; see the module's docs.
    pub(crate) fn latency(&self, now: Instant) -> Option<Duration> {
        let average = self.average.read(now, self.latency)?;
        Some(match self.waiting.mean_age(now) {
            Some(age) => average.max(age),
            None => average,
        })
    }
}

/// The steps of one request; [`Completion`](super::Completion) pairs them.
impl Live {
    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// Starts to count the time until the response head; returns what the end of it needs.
    pub(super) fn await_head(&self, now: Instant) -> Option<u64> {
        self.waiting.enter(now)
    }

    pub(super) fn end_await(&self, start: Option<u64>) {
        if let Some(start) = start {
            self.waiting.leave(start);
        }
    }

    pub(super) fn record(&self, latency: Duration, outcome: Outcome, now: Instant) {
        self.average.record(latency, outcome, now, self.latency);
    }
}
