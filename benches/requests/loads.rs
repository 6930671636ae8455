//! Exact least requests over backends of different weights that have requests in flight.

use evenkeel::picker::Algorithm;
use evenkeel::{Backend, Balance, Pool};

use super::Plan;
use super::common::measure::{Case, interleave};
use super::common::pool::id;
use super::common::report::{Table, figure, ratio, thousands};
use super::common::requests::clone_and_call;
use super::common::services::NoOp;

const ALGORITHM: Algorithm = Algorithm::ExactLeastRequests;

fn equal(_backend: usize) -> u32 {
    1
}

/// 1 to 10 and again.
fn to_ten(backend: usize) -> u32 {
    backend as u32 % 10 + 1
}

/// How many requests one of so many backends has in flight, for its number and its weight.
type Load = fn(usize, (usize, u32)) -> u32;

type Row = (&'static str, fn(usize) -> u32, Load);

const ROWS: [Row; 8] = [
    ("equal weights, idle", equal, |_, _| 0),
    ("equal weights, 100 each", equal, |_, _| 100),
    ("equal weights, all but one 100", equal, all_but_one),
    ("equal weights, 1 in 20 less than 100", equal, some),
    ("weights to 10, idle", to_ten, |_, _| 0),
    ("weights to 10, 10 for each", to_ten, |_, (_, weight)| {
        10 * weight
    }),
    ("weights to 10, 100 each", to_ten, |_, _| 100),
    ("weights to 10, all but one 100", to_ten, all_but_one),
];

fn all_but_one(backends: usize, (backend, _): (usize, u32)) -> u32 {
    // One whose weight is 10.
    100 - u32::from(backend == backends / 10 * 10 - 1 || backends < 10 && backend == 0)
}

fn some(_backends: usize, (backend, _): (usize, u32)) -> u32 {
    // A hash of a kind: not in a row, nor at equal distances.
    100 - u32::from((backend as u32).wrapping_mul(0x9e37_79b9) >> 16 < (1 << 16) / 20)
}

pub(crate) fn compare(plan: &Plan) {
    let columns = plan.sizes.map(thousands);
    let title = format!("{ALGORITHM}, clone + ready + call + response: ns for one request");
    let mut table = Table::new(
        &title,
        columns.into_iter().chain(["allocations".to_owned()]),
    );
    for row in &ROWS {
        let mut cases = plan.sizes.map(|size| case(size, row));
        let samples = interleave(&mut cases, &plan.effort);
        let nanos = samples.iter().map(|one| figure(one.undisturbed()));
        let allocations = cases.iter_mut().map(Case::allocations).fold(0.0, f64::max);
        table.row(row.0, nanos.chain([ratio(allocations)]));
    }
    table.print();
}

fn case(size: usize, &(_, weight, load): &Row) -> Case {
    let backend = |n| Backend::new(id(n), NoOp).weight(weight(n));
    let pool: Pool<NoOp> = (0..size).map(backend).collect();
    let held: Vec<_> = (0..size)
        .flat_map(|n| (0..load(size, (n, weight(n)))).map(move |_| n))
        .map(|n| pool.start(|_| Some(n)))
        .collect();
    clone_and_call(Balance::new(pool, ALGORITHM.picker())).keep(held)
}
