//! Bytes for each backend. Ids and values are the caller's, and not counted.

use std::sync::Arc;

use evenkeel::picker::hash::{Keyed, Maglev, WholeRequest};
use evenkeel::picker::{
    Adaptive, ExactLeastRequests, LeastRequests, RoundRobin, Selector, WeightedRoundRobin,
};
use evenkeel::{Picker, Pool};

use super::common::report::{Table, Target};
use super::{Plan, ids, pool};

/// A pool and what was made over it, to be kept until it is measured.
type Kept = (Pool<()>, Option<Selector<(), str>>);

type Build = fn(&[Arc<str>]) -> Kept;

const CASES: [(&str, Build); 8] = [
    ("the pool", |ids| (pool(ids, false), None)),
    ("and round_robin", |ids| with(ids, false, RoundRobin::new())),
    ("and least_requests", |ids| {
        with(ids, false, LeastRequests::new())
    }),
    ("and least_requests, other weights", |ids| {
        with(ids, true, LeastRequests::new())
    }),
    ("and weighted_round_robin", |ids| {
        with(ids, true, WeightedRoundRobin::new())
    }),
    ("and exact_least_requests", |ids| {
        with(ids, false, ExactLeastRequests::new())
    }),
    ("and adaptive", |ids| with(ids, false, Adaptive::new())),
    ("and maglev", |ids| {
        with(ids, false, Keyed::new(Maglev::new(), WholeRequest))
    }),
];

fn with(ids: &[Arc<str>], differ: bool, picker: impl Picker<str> + 'static) -> Kept {
    let pool = pool(ids, differ);
    let selector = Selector::new(pool.clone(), picker);
    (pool, Some(selector))
}

pub(crate) fn measure(plan: &Plan, targets: &mut Vec<Target>) {
    let ids = ids(plan.backends);
    let title = "Bytes for each backend, its id and value not counted";
    let mut table = Table::new(title, ["stays", "at most"].map(str::to_owned));
    let mut first = None;
    for (name, build) in CASES {
        let mut kept = None;
        let info = allocation_counter::measure(|| kept = Some(build(&ids)));
        let each = |bytes: f64| bytes / plan.backends as f64;
        let stays = each(info.bytes_current as f64);
        first.get_or_insert(stays);
        let figures = [stays, each(info.bytes_max as f64)];
        table.row(name, figures.map(|bytes| format!("{bytes:.0}")));
        drop(kept);
    }
    table.print();
    if let Some(stays) = first {
        let what = "bytes for each backend of a pool, nothing observed";
        targets.push(Target::at_most(256.0, stays, "", what));
    }
}
