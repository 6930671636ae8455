//! Every picker at every size, on one thread.

use evenkeel::Balance;
use evenkeel::picker::Algorithm;

use super::Plan;
use super::common::measure::{Case, interleave};
use super::common::pool::Weights;
use super::common::report::{Table, figure, ratio, thousands};
use super::common::requests::clone_and_call;
use super::common::services::NoOp;
use super::ours::{balance, picks};

pub(crate) fn requests(plan: &Plan) {
    table(
        plan,
        "clone + ready + call + response, one thread, equal weights: ns for one request",
        Weights::Equal,
        |_, balance| clone_and_call(balance),
    );
    table(
        plan,
        "The same with weights from 1 to 4",
        Weights::Different,
        |_, balance| clone_and_call(balance),
    );
}

pub(crate) fn alone(plan: &Plan) {
    table(
        plan,
        "The pick alone, from the pool's set, equal weights: ns for one pick",
        Weights::Equal,
        picks,
    );
    table(
        plan,
        "The same with weights from 1 to 4",
        Weights::Different,
        picks,
    );
}

fn table(
    plan: &Plan,
    title: &str,
    weights: Weights,
    case: fn(Algorithm, Balance<NoOp, u64>) -> Case,
) {
    let columns = plan.sizes.map(thousands);
    let mut table = Table::new(title, columns.into_iter().chain(["allocations".to_owned()]));
    let mut cases: Vec<_> = Algorithm::ALL
        .iter()
        .flat_map(|&algorithm| {
            plan.sizes
                .map(|size| case(algorithm, balance(algorithm, size, weights, &NoOp)))
        })
        .collect();
    let samples = interleave(&mut cases, &plan.effort);
    let of_one = plan.sizes.len();
    let rows = samples.chunks(of_one).zip(cases.chunks_mut(of_one));
    for (algorithm, (samples, cases)) in Algorithm::ALL.iter().zip(rows) {
        let nanos = samples.iter().map(|one| figure(one.undisturbed()));
        let allocations = cases.iter_mut().map(Case::allocations).fold(0.0, f64::max);
        table.row(algorithm.name(), nanos.chain([ratio(allocations)]));
    }
    table.print();
}
