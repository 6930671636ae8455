use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};

use super::names::{self, OUTCOMES};
use crate::backend::{Event, Failure, Outcome, State};

/// The metrics that have the label `backend`, for one of its values: handles, so that to count is
/// an atomic addition.
pub(super) struct Series {
    picks: Counter,
    ended: Box<[Counter]>,
    head: Histogram,
    duration: Histogram,
    pub(super) retries: Counter,
    pub(super) ejections: Counter,
    in_flight: Gauge,
    eligible: Gauge,
}

/// The metrics of the pool as a whole.
pub(super) struct OfPool {
    requests: Box<[Counter]>,
    without_backend: Counter,
    states: Box<[Gauge]>,
    healthy: Gauge,
    queued: Gauge,
    budget: Gauge,
}

/// What a pool is like at one moment.
pub(super) struct Reading {
    pub(super) counts: [usize; State::ALL.len()],
    pub(super) healthy: f64,
    pub(super) queued: usize,
    pub(super) budget: Option<f64>,
}

impl Series {
    /// Registers them with the recorder that there is now.
    pub(super) fn of(backend: &str, common: &[Label]) -> Self {
        let mut labels = common.to_vec();
        labels.push(Label::new("backend", backend.to_owned()));
        Self {
            picks: counter!(names::PICKS, labels.clone()),
            ended: by_outcome(names::ATTEMPTS, &labels),
            head: histogram!(names::HEAD, labels.clone()),
            duration: histogram!(names::DURATION, labels.clone()),
            retries: counter!(names::RETRIES, labels.clone()),
            ejections: counter!(names::EJECTIONS, labels.clone()),
            in_flight: gauge!(names::IN_FLIGHT, labels.clone()),
            eligible: gauge!(names::ELIGIBLE, labels),
        }
    }

    #[inline]
    pub(super) fn note(&self, event: Event) {
        match event {
            Event::Dispatched => self.picks.increment(1),
            Event::Head { latency, .. } => self.head.record(latency),
            Event::Ended {
                duration, outcome, ..
            } => self.end(duration, outcome),
            Event::Reported(_) | Event::Probed(_) => {}
        }
    }

    fn end(&self, duration: Duration, outcome: Outcome) {
        self.ended[names::place_of(outcome)].increment(1);
        self.duration.record(duration);
    }

    /// How many requests are in flight, and how many of those who share it can be picked.
    pub(super) fn set(&self, in_flight: usize, eligible: usize) {
        self.in_flight.set(in_flight as f64);
        self.eligible.set(eligible as f64);
    }
}

impl OfPool {
    pub(super) fn of(common: &[Label]) -> Self {
        let with = |name, value| {
            let mut labels = common.to_vec();
            labels.push(Label::from_static_parts(name, value));
            labels
        };
        let mut nobody = with("outcome", "failure");
        nobody.push(Label::from_static_parts("error_type", "no_backend"));
        let states = State::ALL.into_iter();
        let states = states.map(|state| gauge!(names::BACKENDS, with("state", state.name())));
        Self {
            requests: by_outcome(names::REQUESTS, common),
            without_backend: counter!(names::REQUESTS, nobody),
            states: states.collect(),
            healthy: gauge!(names::HEALTHY, common.to_vec()),
            queued: gauge!(names::QUEUED, common.to_vec()),
            budget: gauge!(names::BUDGET, common.to_vec()),
        }
    }

    /// A request has ended so, or no backend had it.
    pub(super) fn end(&self, outcome: Option<Outcome>) {
        let counter = outcome.map_or(&self.without_backend, |outcome| {
            &self.requests[names::place_of(outcome)]
        });
        counter.increment(1);
    }

    pub(super) fn set(&self, reading: &Reading) {
        for (gauge, count) in self.states.iter().zip(reading.counts) {
            gauge.set(count as f64);
        }
        self.healthy.set(reading.healthy);
        self.queued.set(reading.queued as f64);
        if let Some(tokens) = reading.budget {
            self.budget.set(tokens);
        }
    }
}

fn by_outcome(name: &'static str, common: &[Label]) -> Box<[Counter]> {
    let counters = OUTCOMES.iter().map(|outcome| {
        let mut labels = common.to_vec();
        labels.push(Label::from_static_parts("outcome", outcome.name()));
        let error_type = outcome.failure().map(Failure::name);
        labels.extend(error_type.map(|kind| Label::from_static_parts("error_type", kind)));
        counter!(name, labels)
    });
    counters.collect()
}
