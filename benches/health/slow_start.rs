//! Picks while a newcomer comes to its full share.

use std::time::Duration;

use evenkeel::set::{Rules, SlowStart};
use evenkeel::{Backend, Balance};

use super::Plan;
use super::common::pool::{Weights, id, pool};
use super::common::report::{Table, figure, ratio, thousands};
use super::common::requests::clone_and_call;
use super::common::services::NoOp;
use super::pickers::{EXACT_LEAST_REQUESTS, USUAL};
use super::variants::{Measured, measure};

pub(crate) fn compare(plan: &Plan) {
    let columns = plan.sizes.map(thousands).into_iter();
    let mut table = Table::new(
        "The same requests while one of the backends starts slowly: ns for one, and what is added",
        columns.chain(["allocations".to_owned()]),
    );
    for row in USUAL.iter().chain([&EXACT_LEAST_REQUESTS]) {
        let measured = plan.sizes.map(|size| {
            measure(plan, size, |starts_slowly| {
                let pool = pool(size - 1, Weights::Equal, &NoOp);
                if starts_slowly == 1 {
                    let window = Duration::from_secs(3600);
                    let slow_start = SlowStart::new(window).expect("a valid window");
                    pool.set_rules(Rules::new().slow_start(slow_start));
                }
                pool.insert(Backend::new(id(size - 1), NoOp));
                clone_and_call(Balance::new(pool, (row.picker)()))
            })
        });
        let allocations = |variant: usize| {
            let allocations = measured.iter().map(|one| one.allocations[variant]);
            ratio(allocations.fold(0.0, f64::max))
        };
        let off = measured.iter().map(|one| one.samples[0].undisturbed());
        table.row(row.name, off.map(figure).chain([allocations(0)]));
        let beyond = |one: &Measured<2>| one.samples[1].beyond(&one.samples[0]);
        let added = measured.iter().map(beyond);
        table.row("    added", added.map(figure).chain([allocations(1)]));
    }
    table.print();
}
