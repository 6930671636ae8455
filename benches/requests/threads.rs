//! What a second thread gains.

use std::thread;
use std::time::Duration;

use evenkeel::picker::Algorithm;
use tower::Service;

use super::Plan;
use super::measure::{Case, Effort, Samples, interleave};
use super::ours::{Weights, balance, requests};
use super::report::{Table, Target, figure, ratio, thousands};
use super::services::{NoOp, Work};

/// These draw a few candidates and share nothing that every request writes to.
const SAMPLED: [Algorithm; 4] = [
    Algorithm::Random,
    Algorithm::WeightedRandom,
    Algorithm::LeastRequests,
    Algorithm::LeastResponseTime,
];
const FROM: usize = 100;

pub(crate) fn compare(plan: &Plan, targets: &mut Vec<Target>) {
    no_op(plan);
    work(plan, targets);
}

fn no_op(plan: &Plan) {
    let mut table = Table::new(
        "Two threads, no-op service: ns for one request as each of them sees it",
        plan.sizes.map(thousands),
    );
    for &algorithm in Algorithm::ALL {
        let cases = plan.sizes.map(|size| {
            let balance = balance(algorithm, size, Weights::Equal, &NoOp);
            together(2, balance)
        });
        let samples = measure(plan, cases);
        table.row(
            algorithm.name(),
            samples.iter().map(|two| figure(two.median())),
        );
    }
    table.print();
}

fn work(plan: &Plan, targets: &mut Vec<Target>) {
    let mut table = Table::new(
        "1 µs of work in the service: throughput of two threads over that of one",
        plan.sizes.map(thousands),
    );
    let work = Work::lasting(Duration::from_micros(1));
    let control = measure(plan, [together(1, work), together(2, work)]);
    let control = gain(&control[0], &control[1]);
    table.row("(the service alone)", plan.sizes.map(|_| ratio(control)));
    for &algorithm in Algorithm::ALL {
        let cases = plan.sizes.into_iter().flat_map(|size| {
            let balance = balance(algorithm, size, Weights::Equal, &work);
            [together(1, balance.clone()), together(2, balance)]
        });
        let samples = measure(plan, cases);
        let gains: Vec<f64> = samples
            .chunks_exact(2)
            .map(|pair| gain(&pair[0], &pair[1]))
            .collect();
        table.row(algorithm.name(), gains.iter().copied().map(ratio));
        if SAMPLED.contains(&algorithm) {
            let gains = plan.sizes.iter().zip(&gains);
            let counted = gains.filter(|&(&size, _)| plan.smoke || size >= FROM);
            let least = counted.map(|(_, &gain)| gain).fold(f64::INFINITY, f64::min);
            let what = format!("two threads over one, {algorithm}, least from {FROM} backends on");
            targets.push(Target::at_least(1.6, least, "x", &what));
        }
    }
    table.print();
}

fn measure<'a>(plan: &Plan, cases: impl IntoIterator<Item = Case<'a>>) -> Vec<Samples> {
    // Long enough for the start of a thread not to count.
    let effort = Effort {
        batch: plan.effort.batch * 4,
        rounds: plan.effort.rounds.min(15),
    };
    interleave(&mut cases.into_iter().collect::<Vec<_>>(), &effort)
}

fn gain(one: &Samples, two: &Samples) -> f64 {
    2.0 * one.over(two)
}

/// Each of these threads sends n requests.
fn together<S>(threads: usize, service: S) -> Case<'static>
where
    S: Service<u64> + Clone + Sync + Send + 'static,
{
    Case::new(move |n| {
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| requests(&service, n));
            }
        });
    })
}
