//! The pickers that are looked at, each at its defaults.

use std::sync::Arc;

use evenkeel::picker::Algorithm;
use evenkeel::picker::Picker;
use evenkeel::picker::hash::{Keyed, Maglev, RingHash, WholeRequest};

/// One row of a table.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) picker: fn() -> Arc<dyn Picker<u64>>,
}

pub(crate) const LEAST_REQUESTS: Row = Row {
    name: "least-requests",
    picker: || Algorithm::LeastRequests.picker(),
};

pub(crate) const EXACT_LEAST_REQUESTS: Row = Row {
    name: "exact-least-requests",
    picker: || Algorithm::ExactLeastRequests.picker(),
};

pub(crate) const LEAST_RESPONSE_TIME: Row = Row {
    name: "least-response-time",
    picker: || Algorithm::LeastResponseTime.picker(),
};

pub(crate) const ROUND_ROBIN: Row = Row {
    name: "round-robin",
    picker: || Algorithm::RoundRobin.picker(),
};

pub(crate) const WEIGHTED_ROUND_ROBIN: Row = Row {
    name: "weighted-round-robin",
    picker: || Algorithm::WeightedRoundRobin.picker(),
};

pub(crate) const MAGLEV: Row = Row {
    name: "maglev",
    picker: || Arc::new(Keyed::new(Maglev::new(), WholeRequest)),
};

pub(crate) const RING_HASH: Row = Row {
    name: "ring-hash",
    picker: || Arc::new(Keyed::new(RingHash::new(), WholeRequest)),
};

/// Those of the tables of picks and requests.
pub(crate) const USUAL: [Row; 4] = [LEAST_REQUESTS, ROUND_ROBIN, LEAST_RESPONSE_TIME, MAGLEV];
