//! A server in virtual time: slots that each work on one request, and a queue before them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::backend::adaptive::{Adaptive, AdaptiveLimit};
use crate::backend::{Failure, Outcome};

pub(super) const MILLISECOND: u64 = 1_000_000;

/// A client that has as many requests in flight as it may, or as it wants, and its server.
pub(super) struct Model {
    pub(super) settings: AdaptiveLimit,
    pub(super) adaptive: Adaptive,
    /// The most requests that the client wants in flight.
    pub(super) demand: u32,
    /// The mean service time in nanoseconds.
    pub(super) service: u64,
    /// Whether service times are exponential, or all alike.
    pub(super) noisy: bool,
    /// How many requests may wait for a slot; more are rejected.
    pub(super) queue: u32,
    /// When each slot is free.
    slots: BinaryHeap<Reverse<u64>>,
    flying: BinaryHeap<Reverse<(u64, u64, bool)>>,
    now: u64,
    random: fastrand::Rng,
    served: u64,
}

impl Model {
    pub(super) fn new(settings: AdaptiveLimit, slots: u32, seed: u64) -> Self {
        Self {
            settings,
            adaptive: Adaptive::new(&settings),
            demand: u32::MAX,
            service: 10 * MILLISECOND,
            noisy: false,
            queue: u32::MAX,
            slots: (0..slots).map(|_| Reverse(0)).collect(),
            flying: BinaryHeap::new(),
            now: 0,
            random: fastrand::Rng::with_seed(seed),
            served: 0,
        }
    }

    /// From now on the server has so many slots.
    pub(super) fn set_slots(&mut self, slots: u32) {
        let now = self.now;
        self.slots = (0..slots).map(|_| Reverse(now)).collect();
    }

    /// Lets `responses` come back; returns what share of the slots' time was worked, if no service
    /// time is drawn.
    pub(super) fn utilisation(&mut self, responses: usize) -> f64 {
        let (now, served) = (self.now, self.served);
        self.run(responses);
        let worked = (self.served - served) * self.service;
        worked as f64 / (self.now - now) as f64 / self.slots.len() as f64
    }

    /// Lets `responses` come back; returns the limit after each.
    pub(super) fn run(&mut self, responses: usize) -> Vec<u32> {
        let mut limits = Vec::with_capacity(responses);
        for _ in 0..responses {
            while (self.flying.len() as u32) < self.adaptive.limit().min(self.demand) {
                self.send();
            }
            let Reverse((end, start, rejected)) = self.flying.pop().expect("one is in flight");
            self.now = end;
            let in_flight = self.flying.len() as u32 + 1;
            let outcome = if rejected {
                Outcome::Rejected
            } else {
                self.served += 1;
                Outcome::Success
            };
            self.adaptive
                .sample(&self.settings, end - start, in_flight, outcome);
            limits.push(self.adaptive.limit());
        }
        limits
    }

    fn send(&mut self) {
        let waiting = self.flying.len() as u32;
        if waiting >= (self.slots.len() as u32).saturating_add(self.queue) {
            let end = self.now + MILLISECOND;
            self.flying.push(Reverse((end, self.now, true)));
            return;
        }
        let service = if self.noisy {
            (-(1.0 - self.random.f64()).ln() * self.service as f64) as u64
        } else {
            self.service
        };
        let Reverse(free) = self.slots.pop().expect("there is a slot");
        let end = free.max(self.now) + service;
        self.slots.push(Reverse(end));
        self.flying.push(Reverse((end, self.now, false)));
    }
}

/// What says of a request that the backend had too much, and what does not.
pub(super) const OVERLOADS: [Outcome; 3] = [
    Outcome::Rejected,
    Outcome::Failure(Failure::Timeout),
    Outcome::Failure(Failure::Gateway),
];
pub(super) const OTHERS: [Outcome; 5] = [
    Outcome::Cancelled,
    Outcome::Failure(Failure::Connect),
    Outcome::Failure(Failure::Response),
    Outcome::Failure(Failure::Body),
    Outcome::Failure(Failure::Other),
];

/// The half of what was seen that is neither low nor high.
pub(super) fn middle(mut limits: Vec<u32>) -> std::ops::RangeInclusive<u32> {
    limits.sort_unstable();
    limits[limits.len() / 4]..=limits[limits.len() * 3 / 4]
}
