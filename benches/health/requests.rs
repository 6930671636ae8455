//! Whole requests.

use std::hint::black_box;

use evenkeel::backend::{Failure, Outcome};
use evenkeel::picker::Selector;
use evenkeel::{Balance, Pool};

use super::Plan;
use super::common::measure::Case;
use super::common::pool::{Weights, pool};
use super::common::report::{Table, Target, figure, ratio, thousands};
use super::common::requests::clone_and_call;
use super::common::services::NoOp;
use super::pickers::{LEAST_REQUESTS, Row, USUAL};
use super::variants::{Measured, Watch, measure};

/// What the watch by default adds, and the one that measures latencies; and the allocations.
struct Added {
    nanos: [f64; 2],
    allocations: f64,
}

pub(crate) fn compare(plan: &Plan, targets: &mut Vec<Target>) {
    let mut added = Added {
        nanos: [0.0; 2],
        allocations: 0.0,
    };
    let columns = plan.sizes.map(thousands).into_iter();
    let mut table = Table::new(
        "clone + ready + call + response, equal weights: ns for one request, and what is added if\n\
         health is watched",
        columns.chain(["allocations".to_owned()]),
    );
    for row in &USUAL {
        rows(plan, row.name, &mut table, &mut added, |pool| {
            clone_and_call(Balance::new(pool, (row.picker)()))
        });
    }
    table.print();
    let most = |with: &str| format!("what health adds to a finished request{with}, most of all");
    targets.push(Target::at_most(30.0, added.nanos[0], "ns", &most("")));
    let with = most(", with latency");
    targets.push(Target::at_most(30.0, added.nanos[1], "ns", &with));
    let what = "allocations for one request, most of all";
    targets.push(Target::at_most(0.0, added.allocations, "", what));
    failures(plan);
}

/// Failures take a path of their own.
fn failures(plan: &Plan) {
    let columns = plan.sizes.map(thousands).into_iter();
    let mut table = Table::new(
        "Selector::select and finish: ns for one request",
        columns.chain(["allocations".to_owned()]),
    );
    let mut added = Added {
        nanos: [0.0; 2],
        allocations: 0.0,
    };
    for (name, fails) in [
        ("all succeed", (|_| false) as fn(u64) -> bool),
        ("every other one fails", |request| request % 2 == 0),
        ("all fail", |_| true),
    ] {
        rows(plan, name, &mut table, &mut added, |pool| {
            select_and_finish(&LEAST_REQUESTS, pool, fails)
        });
    }
    table.print();
}

fn rows(
    plan: &Plan,
    name: &str,
    table: &mut Table,
    added: &mut Added,
    case: impl Fn(Pool<NoOp>) -> Case,
) {
    let measured = plan.sizes.map(|size| {
        measure(plan, size, |variant| {
            let pool = pool(size, Weights::Equal, &NoOp);
            let watcher = Watch::ALL[variant].over(&pool);
            case(pool).keep(watcher)
        })
    });
    let allocations = |variant: usize| {
        let allocations = measured.iter().map(|one| one.allocations[variant]);
        allocations.fold(0.0, f64::max)
    };
    let off = measured.iter().map(|one| one.samples[0].undisturbed());
    table.row(name, off.map(figure).chain([ratio(allocations(0))]));
    for (name, variant) in [("    added if watched", 1), ("    added with latency", 2)] {
        let beyond = |one: &Measured<3>| one.samples[variant].beyond(&one.samples[0]);
        let nanos = measured.each_ref().map(beyond);
        let most = &mut added.nanos[variant - 1];
        *most = nanos.into_iter().fold(*most, f64::max);
        added.allocations = added.allocations.max(allocations(variant));
        let nanos = nanos.map(figure).into_iter();
        table.row(name, nanos.chain([ratio(allocations(variant))]));
    }
}

fn select_and_finish(row: &Row, pool: Pool<NoOp>, fails: fn(u64) -> bool) -> Case {
    let selector = Selector::new(pool, (row.picker)());
    Case::new(move |n| {
        for request in 0..n {
            let selected = selector.select(&black_box(request));
            let (value, completion) = selected.expect("all are eligible");
            black_box(value);
            completion.finish(if fails(request) {
                Outcome::Failure(Failure::Other)
            } else {
                Outcome::Success
            });
        }
    })
}
