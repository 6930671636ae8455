//! What a second thread gains.

use std::hint;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use evenkeel::picker::Algorithm;
use tower::Service;

use super::Plan;
use super::common::measure::Samples;
use super::common::pool::Weights;
use super::common::report::{Table, Target, figure, ratio, thousands};
use super::common::requests::requests;
use super::common::services::{NoOp, Work};
use super::ours::balance;

/// Those that draw a few candidates.
const SAMPLED: [Algorithm; 4] = [
    Algorithm::Random,
    Algorithm::WeightedRandom,
    Algorithm::LeastRequests,
    Algorithm::LeastResponseTime,
];
const FROM: usize = 100;

/// What is tried with one thread and with two, and what each took: in nanoseconds for one request
/// as each thread sees it.
struct Cell {
    run: Box<dyn Fn(usize) -> Vec<f64>>,
    took: [Samples; 2],
}

pub(crate) fn compare(plan: &Plan, targets: &mut Vec<Target>) {
    no_op(plan);
    work(plan, targets);
}

fn no_op(plan: &Plan) {
    let mut table = Table::new(
        "Two threads, no-op service: ns for one request as each of them sees it",
        plan.sizes.map(thousands),
    );
    let mut cells = every_picker(plan, 4_000, NoOp);
    measure(plan, &mut cells);
    for (algorithm, cells) in by_picker(plan, &cells) {
        let two = cells.iter().map(|cell| figure(cell.two()));
        table.row(algorithm.name(), two);
    }
    table.print();
}

fn work(plan: &Plan, targets: &mut Vec<Target>) {
    const REQUESTS: u64 = 500;
    let mut table = Table::new(
        "1 µs of work in the service: throughput of two threads over that of one",
        plan.sizes.map(thousands),
    );
    let work = Work::lasting(Duration::from_micros(1));
    let mut cells = every_picker(plan, REQUESTS, work);
    cells.push(Cell::new(plan, REQUESTS, work));
    measure(plan, &mut cells);
    // How much of a second core the machine had to give.
    let alone = cells.pop().map_or(0.0, |cell| cell.gain());
    table.row("(the service alone)", plan.sizes.map(|_| ratio(alone)));
    for (algorithm, cells) in by_picker(plan, &cells) {
        table.row(algorithm.name(), cells.iter().map(|it| ratio(it.gain())));
        if SAMPLED.contains(&algorithm) {
            let gains = plan.sizes.iter().zip(cells.iter().map(Cell::gain));
            let counted = gains.filter(|&(&size, _)| plan.smoke || size >= FROM);
            let least = counted.map(|(_, gain)| gain).reduce(f64::min);
            let what = format!("two threads over one, {algorithm}, least from {FROM} backends on");
            targets.push(Target::at_least(1.6, least.unwrap_or(f64::NAN), "x", &what));
        }
    }
    table.print();
}

fn every_picker<S>(plan: &Plan, n: u64, service: S) -> Vec<Cell>
where
    S: Service<u64> + Copy + Send + Sync + 'static,
    S::Error: Into<tower::BoxError>,
{
    let cells = Algorithm::ALL.iter().flat_map(|&algorithm| {
        plan.sizes.map(|size| {
            let balance = balance(algorithm, size, Weights::Equal, &service);
            Cell::new(plan, n, balance)
        })
    });
    cells.collect()
}

fn by_picker<'a>(plan: &Plan, cells: &'a [Cell]) -> impl Iterator<Item = (Algorithm, &'a [Cell])> {
    let all = Algorithm::ALL.iter().copied();
    all.zip(cells.chunks(plan.sizes.len()))
}

/// Goes through the cells again and again until each has had its quiet moments.
fn measure(plan: &Plan, cells: &mut [Cell]) {
    const ENOUGH: usize = 80;
    let rounds = if plan.smoke { 1 } else { 40 };
    for _ in 0..rounds {
        for cell in cells.iter_mut().filter(|cell| cell.took[1].len() < ENOUGH) {
            for (threads, took) in (1..).zip(&mut cell.took) {
                took.extend((cell.run)(threads));
            }
        }
    }
}

impl Cell {
    fn new<S>(plan: &Plan, n: u64, service: S) -> Self
    where
        S: Service<u64> + Clone + Sync + 'static,
    {
        let n = if plan.smoke { 10 } else { n };
        Self {
            run: Box::new(move |threads| together(threads, n, &service)),
            took: Default::default(),
        }
    }

    /// Not a number if it was hardly ever measured.
    fn two(&self) -> f64 {
        const FEW: usize = 8;
        match self.took[1].len() {
            0..FEW => f64::NAN,
            _ => self.took[1].undisturbed(),
        }
    }

    fn gain(&self) -> f64 {
        2.0 * self.took[0].undisturbed() / self.two()
    }
}

/// Each of these threads sends n requests, several times; returns how long it took until all had,
/// in nanoseconds for one request, for the times when they did so together.
///
/// The threads live for long enough that the system spreads them over its cores and that they find
/// their caches warm.
fn together<S>(threads: usize, n: u64, service: &S) -> Vec<f64>
where
    S: Service<u64> + Clone + Sync,
{
    const TIMES: usize = 16;
    let arrived = AtomicUsize::new(0);
    let run = || -> [(Instant, Instant); TIMES] {
        std::array::from_fn(|time| {
            // None starts before all have a core: they spin instead of sleeping.
            arrived.fetch_add(1, Ordering::SeqCst);
            while arrived.load(Ordering::SeqCst) < threads * (time + 1) {
                hint::spin_loop();
            }
            let start = Instant::now();
            requests(service, n);
            (start, Instant::now())
        })
    };
    let spans: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|spans| spans.expect("no request panics"))
            .collect()
    });
    (0..TIMES)
        .filter_map(|time| {
            let spans = || spans.iter().map(|spans| spans[time]);
            let (first_start, last_start) = bounds(spans().map(|span| span.0))?;
            let (first_end, last_end) = bounds(spans().map(|span| span.1))?;
            let wall = last_end - first_start;
            // While a neighbour has one of the cores, the threads run one after the other.
            let together = first_end.saturating_duration_since(last_start);
            (together > wall.mul_f64(0.9)).then(|| wall.as_nanos() as f64 / n as f64)
        })
        .collect()
}

fn bounds(instants: impl Iterator<Item = Instant> + Clone) -> Option<(Instant, Instant)> {
    instants.clone().min().zip(instants.max())
}
