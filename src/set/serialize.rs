//! What a pool says of itself, for serde.
//!
//! Durations are seconds, as numbers; moments are seconds from now; states are their names.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::{Serialize, Serializer};

use super::{PoolStatus, SourceStatus, TierStatus};
use crate::backend::{BackendInfo, Counts, Failure, Latencies, State};
use crate::time::now;

/// How a pool is, with a name for it if there is one, and with no more than so many backends.
#[derive(Serialize)]
pub(crate) struct PoolView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    members: usize,
    healthy: usize,
    ejected: usize,
    in_panic: bool,
    watched: bool,
    records_traffic: bool,
    in_flight: usize,
    queued: usize,
    states: States<'a>,
    tiers: &'a [TierStatus],
    sources: Vec<SourceView<'a>>,
    requests: Requests,
    failures: Failures,
    latencies: Option<Latencies>,
    /// So many are not among the backends.
    left_out: usize,
    backends: Vec<BackendView<'a>>,
}

impl<'a> PoolView<'a> {
    /// If there are more than `most`, those that are not in use go first: it is they who are looked
    /// for.
    pub(crate) fn new(name: Option<&'a str>, status: &'a PoolStatus, most: usize) -> Self {
        let all = status.backends();
        let view = |info: &'a BackendInfo| BackendView::new(info, status.at());
        let backends: Vec<_> = if all.len() <= most {
            all.iter().map(view).collect()
        } else {
            let is_well = |info: &&BackendInfo| info.state() == State::Healthy;
            let others = all.iter().filter(|info| !is_well(info));
            let first = others.chain(all.iter().filter(is_well));
            first.take(most).map(view).collect()
        };
        let counts = status.counts();
        Self {
            name,
            members: status.members(),
            healthy: status.healthy(),
            ejected: status.ejected(),
            in_panic: status.is_in_panic(),
            watched: status.is_watched(),
            records_traffic: status.records_traffic(),
            in_flight: status.in_flight(),
            queued: status.queued(),
            states: States(status),
            tiers: status.tiers(),
            sources: status
                .sources()
                .iter()
                .map(|source| SourceView::new(source, status.at()))
                .collect(),
            requests: counts.into(),
            failures: counts.into(),
            latencies: status.latencies(),
            left_out: all.len() - backends.len(),
            backends,
        }
    }
}

/// How many members are in each state, the best first, as far as there are any.
struct States<'a>(&'a PoolStatus);

impl Serialize for States<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let states = State::ALL.map(|state| (state.name(), self.0.count_of(state)));
        serializer.collect_map(states.into_iter().filter(|&(_, count)| count > 0))
    }
}

#[derive(Serialize)]
struct BackendView<'a> {
    id: &'a str,
    state: State,
    why: Option<String>,
    /// For how long it has been in this state.
    since_seconds: f64,
    /// For how much longer it will be, if that is known.
    until_seconds: Option<f64>,
    eligible: bool,
    share: f64,
    weight: u32,
    priority: u32,
    zone: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a BTreeMap<String, String>>,
    in_flight: usize,
    max_in_flight: Option<usize>,
    latency_seconds: Option<f64>,
    latencies: Option<&'a Latencies>,
    requests: Requests,
    failures: Failures,
}

impl<'a> BackendView<'a> {
    fn new(info: &'a BackendInfo, now: Instant) -> Self {
        let until = info.until();
        let metadata = info.settings.all_metadata();
        Self {
            id: info.id(),
            state: info.state(),
            why: info.why().map(ToString::to_string),
            since_seconds: seconds(now.saturating_duration_since(info.since())),
            until_seconds: until.map(|until| seconds(until.saturating_duration_since(now))),
            eligible: info.is_eligible(),
            share: info.share(),
            weight: info.weight(),
            priority: info.priority(),
            zone: info.zone(),
            metadata: metadata.filter(|metadata| !metadata.is_empty()),
            in_flight: info.in_flight(),
            max_in_flight: info.max_in_flight(),
            latency_seconds: info.latency().map(seconds),
            latencies: info.latencies(),
            requests: info.counts().into(),
            failures: info.counts().into(),
        }
    }
}

#[derive(Serialize)]
struct Requests {
    success: u64,
    failure: u64,
    rejected: u64,
    cancelled: u64,
}

impl From<Counts> for Requests {
    fn from(counts: Counts) -> Self {
        Self {
            success: counts.successes(),
            failure: counts.failures(),
            rejected: counts.rejected(),
            cancelled: counts.cancelled(),
        }
    }
}

/// By kind.
struct Failures(Counts);

impl From<Counts> for Failures {
    fn from(counts: Counts) -> Self {
        Self(counts)
    }
}

impl Serialize for Failures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let named = self.0.failures_by_kind();
        serializer.collect_map(named.map(|(failure, count)| (failure.name(), count)))
    }
}

#[derive(Serialize)]
struct CountsView {
    requests: Requests,
    failures: Failures,
}

#[derive(Serialize)]
struct TierView {
    priority: u32,
    members: usize,
    healthy: usize,
    degraded: usize,
    share: f64,
    in_panic: bool,
}

#[derive(Serialize)]
struct SourceView<'a> {
    name: &'a str,
    state: &'static str,
    /// For how long it has been in this state.
    since_seconds: f64,
    /// How long ago the pool took what it says.
    updated_seconds: Option<f64>,
    error: Option<&'a str>,
    members: usize,
    skipped: usize,
}

impl<'a> SourceView<'a> {
    fn new(source: &'a SourceStatus, now: Instant) -> Self {
        let ago = |then| seconds(now.saturating_duration_since(then));
        Self {
            name: source.name(),
            state: source.state().name(),
            since_seconds: ago(source.since()),
            updated_seconds: source.updated().map(ago),
            error: source.error(),
            members: source.members(),
            skipped: source.skipped(),
        }
    }
}

#[derive(Serialize)]
struct LatenciesView {
    samples: u64,
    p50_seconds: Option<f64>,
    p90_seconds: Option<f64>,
    p99_seconds: Option<f64>,
    total: u64,
    sum_seconds: f64,
}

impl Serialize for PoolStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        PoolView::new(None, self, usize::MAX).serialize(serializer)
    }
}

impl Serialize for BackendInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        BackendView::new(self, now()).serialize(serializer)
    }
}

impl Serialize for Counts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = CountsView {
            requests: (*self).into(),
            failures: (*self).into(),
        };
        view.serialize(serializer)
    }
}

impl Serialize for SourceStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        SourceView::new(self, now()).serialize(serializer)
    }
}

impl Serialize for TierStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = TierView {
            priority: self.priority(),
            members: self.members(),
            healthy: self.healthy(),
            degraded: self.degraded(),
            share: self.share(),
            in_panic: self.is_in_panic(),
        };
        view.serialize(serializer)
    }
}

impl Serialize for Latencies {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let percentile = |part| self.percentile(part).map(seconds);
        let view = LatenciesView {
            samples: self.samples(),
            p50_seconds: percentile(0.5),
            p90_seconds: percentile(0.9),
            p99_seconds: percentile(0.99),
            total: self.total(),
            sum_seconds: seconds(self.sum()),
        };
        view.serialize(serializer)
    }
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

fn seconds(duration: Duration) -> f64 {
    duration.as_secs_f64()
}
