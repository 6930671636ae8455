//! What one change of the membership costs whoever makes it, with a balance over the pool.

use std::sync::Arc;

use evenkeel::picker::Algorithm;
use evenkeel::{Backend, Pool};

use super::Plan;
use super::common::measure::{Case, interleave};
use super::common::pool::{Weights, id};
use super::common::report::{Table, Target, figure, thousands};
use super::common::services::NoOp;
use super::ours::balance;

#[derive(Clone, Copy)]
enum Change {
    LeaveOrJoin,
    Weight,
    DrainOrNot,
}

pub(crate) fn compare(plan: &Plan, targets: &mut Vec<Target>) {
    let columns = [("=", 0), ("=", 1), ("1-4", 0), ("1-4", 1)];
    let columns = columns.map(|(weights, size)| {
        let size = thousands(plan.pools[size]);
        format!("{size} w{weights}")
    });
    let mut table = Table::new(
        "One change of the membership, in µs (w=: equal weights; w1-4: weights from 1 to 4)",
        columns,
    );
    let mut measure = |name: &str, algorithm, change| {
        let mut cases: Vec<_> = [Weights::Equal, Weights::Different]
            .into_iter()
            .flat_map(|weights| {
                plan.pools
                    .map(|size| case(algorithm, size, weights, change))
            })
            .collect();
        let samples = interleave(&mut cases, &plan.effort);
        let micros: Vec<f64> = samples.iter().map(|one| one.undisturbed() / 1e3).collect();
        table.row(name, micros.iter().copied().map(figure));
        micros
    };
    for &algorithm in Algorithm::ALL {
        let name = format!("{algorithm}: leave or join");
        let micros = measure(&name, algorithm, Change::LeaveOrJoin);
        if algorithm == Algorithm::RoundRobin {
            let what = format!(
                "one leaves or joins {} others, {algorithm}",
                thousands(plan.pools[1])
            );
            targets.push(Target::at_most(500.0, micros[1], "µs", &what));
        }
    }
    let table_less = Algorithm::RoundRobin;
    measure("round-robin: weight", table_less, Change::Weight);
    measure(
        "round-robin: drain or undrain",
        table_less,
        Change::DrainOrNot,
    );
    table.print();
}

/// Changes that undo each other in turn, each time for another backend.
fn case(algorithm: Algorithm, size: usize, weights: Weights, change: Change) -> Case {
    let balance = balance(algorithm, size, weights, &NoOp);
    let ids: Vec<_> = (0..size).map(id).collect();
    let (mut at, mut undo) = (0, false);
    Case::new(move |n| {
        for _ in 0..n {
            if !undo {
                // A prime, so that all get their turn, and never the next in the list.
                at = (at + 7_919) % size;
            }
            let (pool, id, weight) = (balance.pool(), &ids[at], weights.of(at));
            let done = match (change, undo) {
                (Change::LeaveOrJoin, false) => pool.remove(id),
                (Change::LeaveOrJoin, true) => rejoin(pool, id, weight),
                (Change::Weight, false) => pool.set_weight(id, weight + 1),
                (Change::Weight, true) => pool.set_weight(id, weight),
                (Change::DrainOrNot, false) => pool.drain(id),
                (Change::DrainOrNot, true) => pool.undrain(id),
            };
            assert!(done);
            undo = !undo;
        }
    })
}

fn rejoin(pool: &Pool<NoOp>, id: &Arc<str>, weight: u32) -> bool {
    pool.insert(Backend::new(Arc::clone(id), NoOp).weight(weight))
}
