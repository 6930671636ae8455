//! One pick, from the pool's own set.

use std::hint::black_box;
use std::sync::Arc;

use evenkeel::backend::Completion;
use evenkeel::picker::{Context, Selector};
use evenkeel::{BackendSet, Pool};

use super::Plan;
use super::common::measure::{Case, Samples, interleave};
use super::common::pool::{Weights, pool, within};
use super::common::report::{Table, Target, figure, ratio, thousands};
use super::pickers::{BY_NAME, Keys, ROWS, Row, keys, prepared_for};

/// The load factor, and about how many requests each backend then has.
const FACTOR: f64 = 1.25;
const EACH: usize = 20;

pub(crate) fn compare(plan: &Plan, targets: &mut Vec<Target>) {
    let title = "The pick alone, equal weights: ns for one pick";
    let nanos = table(plan, title, &with_and_without_name(), |row, size| {
        let pool = pool(size, Weights::Equal, &());
        (case(&(row.picker)(None), pool), ())
    });
    let mut target = |most, name: &str, size: usize| {
        let row = ROWS.iter().position(|row| row.name == name);
        let row = row.expect("one of the rows");
        let what = format!("{name}, {} backends", thousands(plan.sizes[size]));
        targets.push(Target::at_most(most, nanos[size][row], "ns", &what));
    };
    target(25.0, "maglev", 1);
    target(25.0, "maglev", 2);
    target(90.0, "ring-hash", 2);
    target(250.0, "rendezvous", 1);

    let title = "The same with weights from 1 to 4";
    table(plan, title, &ROWS, |row, size| {
        let pool = pool(size, Weights::Different, &());
        (case(&(row.picker)(None), pool), ())
    });

    let title = format!("bounded_load({FACTOR}), equal weights, {EACH} in flight at each backend");
    table(plan, &title, &ROWS, |row, size| {
        let (picker, pool) = ((row.picker)(Some(FACTOR)), pool(size, Weights::Equal, &()));
        // From now on the pool keeps what the picker asks for: the total of requests in flight.
        let selector = Selector::new(pool.clone(), Arc::clone(&picker));
        let running = load(&pool, size);
        (case(&picker, pool), (selector, running))
    });
}

fn with_and_without_name() -> Vec<Row> {
    ROWS.into_iter().chain([BY_NAME]).collect()
}

/// Measures and prints a table; returns its figures by size and row. What comes with a case is kept
/// for as long.
fn table<K>(
    plan: &Plan,
    title: &str,
    rows: &[Row],
    case: impl Fn(&Row, usize) -> (Case, K),
) -> Vec<Vec<f64>> {
    let mut most = vec![0.0_f64; rows.len()];
    let nanos: Vec<Vec<f64>> = plan
        .sizes
        .iter()
        .map(|&size| {
            // Those of one size follow each other, and no more tables are in memory than that.
            let made = rows.iter().map(|row| case(row, size));
            let (mut cases, _kept): (Vec<_>, Vec<_>) = made.unzip();
            let samples = interleave(&mut cases, &plan.effort);
            for (most, case) in most.iter_mut().zip(&mut cases) {
                *most = most.max(case.allocations());
            }
            samples.iter().map(Samples::undisturbed).collect()
        })
        .collect();
    let columns = plan.sizes.map(thousands).into_iter();
    let mut table = Table::new(title, columns.chain(["allocations".to_owned()]));
    for (at, row) in rows.iter().enumerate() {
        let nanos = nanos.iter().map(|nanos| figure(nanos[at]));
        table.row(row.name, nanos.chain([ratio(most[at])]));
    }
    table.print();
    nanos
}

fn case(picker: &Keys, pool: Pool<()>) -> Case {
    let picker = prepared_for(picker, &pool);
    let mut keys = keys();
    Case::new(move |n| {
        within(&pool, |set| {
            for key in keys.by_ref().take(n as usize) {
                let mut cx = Context::new();
                black_box(picker.pick(black_box(set), &black_box(key), &mut cx));
            }
        });
    })
}

/// Starts requests at random until there are so many, none above its bound.
fn load(pool: &Pool<()>, size: usize) -> Vec<Completion> {
    const SEED: u64 = 7;
    let mut random = fastrand::Rng::with_seed(SEED);
    let bound = (FACTOR * EACH as f64) as usize;
    let mut draw = |set: &dyn BackendSet| {
        let ranks = std::iter::repeat_with(|| random.usize(..size));
        ranks.into_iter().find(|&rank| set.in_flight(rank) < bound)
    };
    (0..size * EACH)
        .filter_map(|_| pool.start(&mut draw))
        .map(|((), completion)| completion)
        .collect()
}
