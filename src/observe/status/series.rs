use std::time::Instant;

use crate::backend::{BackendInfo, Counts, Latencies, State};
use crate::set::PoolStatus;

/// What the metrics of one backend are made of, or of several together.
pub(super) struct Series<'a> {
    pub(super) pool: &'a str,
    pub(super) backend: &'a str,
    /// How many.
    members: usize,
    pub(super) states: Vec<(State, usize)>,
    pub(super) eligible: usize,
    pub(super) weight: u64,
    share: f64,
    pub(super) in_flight: usize,
    pub(super) max_in_flight: Option<usize>,
    /// The longest, in seconds.
    pub(super) ejected_for: Option<f64>,
    pub(super) counts: Counts,
    /// The longest, in seconds.
    pub(super) expected: Option<f64>,
    pub(super) latencies: Option<Latencies>,
}

/// The name of all those together that have no series of their own.
const OTHER: &str = "other";

impl<'a> Series<'a> {
    /// Those of a pool: no more than `most`, and one for all others.
    pub(super) fn of(pool: &'a str, status: &'a PoolStatus, most: usize) -> Vec<Self> {
        let all = status.backends();
        let mut series: Vec<Self> = Vec::new();
        let mut rest = Self::empty(pool, OTHER);
        for info in all {
            let own = all.len() <= most || (series.len() < most && info.id() != OTHER);
            if own {
                let mut one = Self::empty(pool, info.id());
                one.add(info, status.at());
                series.push(one);
            } else {
                rest.add(info, status.at());
            }
        }
        series.extend((rest.members > 0).then_some(rest));
        series
    }

    fn empty(pool: &'a str, backend: &'a str) -> Self {
        Self {
            pool,
            backend,
            members: 0,
            states: Vec::new(),
            eligible: 0,
            weight: 0,
            share: 0.0,
            in_flight: 0,
            max_in_flight: None,
            ejected_for: None,
            counts: Counts::default(),
            expected: None,
            latencies: None,
        }
    }

    fn add(&mut self, info: &BackendInfo, now: Instant) {
        self.members += 1;
        let known = self.states.iter_mut();
        match known.into_iter().find(|(state, _)| *state == info.state()) {
            Some((_, count)) => *count += 1,
            None => self.states.push((info.state(), 1)),
        }
        self.eligible += usize::from(info.is_eligible());
        self.weight += u64::from(info.weight());
        self.share += info.share();
        self.in_flight = self.in_flight.saturating_add(info.in_flight());
        if let Some(max) = info.max_in_flight() {
            self.max_in_flight = Some(self.max_in_flight.unwrap_or(0).saturating_add(max));
        }
        let longest = |known: Option<f64>, next: Option<f64>| match (known, next) {
            (Some(known), Some(next)) => Some(known.max(next)),
            (known, next) => known.or(next),
        };
        let left = info
            .until()
            .map(|until| until.saturating_duration_since(now));
        self.ejected_for = longest(self.ejected_for, left.map(|left| left.as_secs_f64()));
        let latency = info.latency().map(|latency| latency.as_secs_f64());
        self.expected = longest(self.expected, latency);
        self.counts += info.counts();
        if let Some(latencies) = info.latencies() {
            self.latencies.get_or_insert_default().add(latencies);
        }
    }

    pub(super) fn mean_share(&self) -> f64 {
        self.share / self.members.max(1) as f64
    }
}
