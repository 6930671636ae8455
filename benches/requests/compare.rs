//! This crate and tower's p2c `Balance` in the same rounds.

use std::fmt::Debug;

use evenkeel::picker::Algorithm;
use tower::load::Load;
use tower::{BoxError, Service};

use super::Plan;
use super::common::measure::{Case, Samples, interleave};
use super::common::pool::Weights;
use super::common::report::{Table, Target, figure, ratio, thousands};
use super::common::requests::clone_and_call;
use super::common::services::NoOp;
use super::ours::balance;
use super::theirs::{bare, behind_buffer, peak_ewma, pending_requests};

/// How many requests are under way at once where one Buffer serves many.
const TASKS: u64 = 16;

/// The cases of one picker at every size, in the order of the rows.
struct Compared {
    ours: Vec<Samples>,
    bare: Vec<Samples>,
    buffer: Vec<Samples>,
    allocations: f64,
}

pub(crate) fn compare(plan: &Plan, targets: &mut Vec<Target>) {
    let sampled = side_by_side(
        plan,
        Algorithm::LeastRequests,
        "PendingRequests",
        pending_requests,
    );
    let (first, last) = (0, plan.against.len() - 1);
    let at = |at: usize| thousands(plan.against[at]);
    let over = |theirs: &[Samples]| {
        let ratios = theirs.iter().zip(&sampled.ours);
        ratios
            .map(|(theirs, ours)| theirs.over(ours))
            .fold(f64::INFINITY, f64::min)
    };
    let name = Algorithm::LeastRequests;
    let bare = over(&sampled.bare);
    let what = format!("{name} against tower's Balance, least of all sizes");
    targets.push(Target::at_least(2.5, bare, "x", &what));
    targets.push(Target::at_least(3.5, bare, "x", &what).goal());
    let what = format!("{name} against tower's Balance behind Buffer, least of all sizes");
    targets.push(Target::at_least(8.0, over(&sampled.buffer), "x", &what));
    let what = format!("{name}, {} backends", at(first));
    let nanos = sampled.ours[first].undisturbed();
    targets.push(Target::at_most(80.0, nanos, "ns", &what).goal());
    let what = format!("{name}, allocations for one request, most of all sizes");
    targets.push(Target::at_most(0.0, sampled.allocations, "", &what));
    let what = format!("{name}, {} backends over {}", at(last), at(first));
    let growth = sampled.ours[last].over(&sampled.ours[first]);
    targets.push(Target::at_most(2.0, growth, "x", &what));

    let time = side_by_side(plan, Algorithm::LeastResponseTime, "PeakEwma", peak_ewma);
    let what = format!("{}, {} backends", Algorithm::LeastResponseTime, at(first));
    let nanos = time.ours[first].undisturbed();
    targets.push(Target::at_most(150.0, nanos, "ns", &what).goal());

    for (algorithm, most) in [
        (Algorithm::ExactLeastRequests, 120.0),
        (Algorithm::Adaptive, 200.0),
    ] {
        at_two_sizes(plan, algorithm, most, targets);
    }
}

/// What one request costs at 1,000 backends, and how much more at 10,000.
fn at_two_sizes(plan: &Plan, algorithm: Algorithm, most: f64, targets: &mut Vec<Target>) {
    let sizes = [plan.against[2], plan.against[3]];
    let mut cases =
        sizes.map(|size| clone_and_call(balance(algorithm, size, Weights::Equal, &NoOp)));
    let samples = interleave(&mut cases, &plan.effort);
    let [at, over] = sizes.map(thousands);
    let what = format!("{algorithm}, {at} backends");
    targets.push(Target::at_most(most, samples[0].undisturbed(), "ns", &what));
    let growth = samples[1].over(&samples[0]);
    let what = format!("{algorithm}, {over} backends over {at}");
    targets.push(Target::at_most(1.5, growth, "x", &what));
    let allocations = cases.iter_mut().map(Case::allocations).fold(0.0, f64::max);
    let what = format!("{algorithm}, allocations for one request");
    targets.push(Target::at_most(0.0, allocations, "", &what));
}

fn side_by_side<S>(plan: &Plan, algorithm: Algorithm, load: &str, service: fn() -> S) -> Compared
where
    S: Service<u64, Response = u64> + Load + Send + 'static,
    S::Error: Into<BoxError> + Send + Sync,
    S::Future: Send,
    S::Metric: Debug,
{
    let ours = |size| clone_and_call(balance(algorithm, size, Weights::Equal, &NoOp));
    let kinds: [Box<dyn Fn(usize) -> Case>; 4] = [
        Box::new(ours),
        Box::new(move |size| bare(size, service)),
        Box::new(move |size| behind_buffer(size, service, 1)),
        Box::new(move |size| behind_buffer(size, service, TASKS)),
    ];
    // By size first: those that are compared follow each other closely.
    let sizes = plan.against.iter();
    let mut cases: Vec<_> = sizes
        .flat_map(|&size| kinds.iter().map(move |kind| kind(size)))
        .collect();
    let mut samples: [Vec<Samples>; 4] = Default::default();
    for (at, one) in interleave(&mut cases, &plan.effort).into_iter().enumerate() {
        samples[at % kinds.len()].push(one);
    }
    let mut allocations = [0.0; 4];
    for (at, case) in cases.iter_mut().enumerate() {
        let most = &mut allocations[at % kinds.len()];
        *most = case.allocations().max(*most);
    }

    let title = format!("{algorithm} and tower's p2c Balance over {load}: ns for one request");
    let columns = plan.against.map(thousands);
    let mut table = Table::new(
        &title,
        columns.into_iter().chain(["allocations".to_owned()]),
    );
    let names = [
        algorithm.name().to_owned(),
        "tower, bare".to_owned(),
        "tower behind Buffer".to_owned(),
        format!("tower behind Buffer, {TASKS} tasks"),
    ];
    for kind in 0..kinds.len() {
        let row = &samples[kind];
        let nanos = row.iter().map(|one| figure(one.undisturbed()));
        table.row(&names[kind], nanos.chain([ratio(allocations[kind])]));
        if kind > 0 {
            let over = row.iter().zip(&samples[0]);
            let over = over.map(|(theirs, ours)| ratio(theirs.over(ours)));
            table.row(&format!("    over {algorithm}"), over);
        }
    }
    table.print();
    let [ours, bare, buffer, _] = samples;
    Compared {
        ours,
        bare,
        buffer,
        allocations: allocations[0],
    }
}
