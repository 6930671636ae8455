//! What is prepared for a set, and how well it does.

use std::time::{Duration, Instant};

use evenkeel::Pool;

use super::Plan;
use super::common::measure::Samples;
use super::common::pool::{Weights, id, pool, within};
use super::common::report::{Table, Target, rounded, thousands};
use super::pickers::{Keys, ROWS, prepared};
use super::quality::{Moved, by_chance, largest, moved, owners, some_of};

/// What one algorithm makes of one number of backends.
struct Cell {
    millis: f64,
    bytes: f64,
    largest: f64,
    moved: Moved,
}

pub(crate) fn compare(plan: &Plan, targets: &mut Vec<Target>) {
    let cells: Vec<Vec<Cell>> = ROWS
        .iter()
        .map(|row| {
            let picker = (row.picker)(None);
            let cells = plan.sizes.iter();
            cells
                .map(|&size| Cell::measure(plan, &picker, size))
                .collect()
        })
        .collect();
    let print = |table: &mut Table, figure: &dyn Fn(&Cell) -> String| {
        for (row, cells) in ROWS.iter().zip(&cells) {
            table.row(row.name, cells.iter().map(figure));
        }
        table.print();
    };
    let table = |title: &str| Table::new(title, plan.sizes.map(thousands));
    let keys = millions(plan.keys);

    let mut times = table("Preparing for a set of equal weights: ms");
    print(&mut times, &|cell| rounded(cell.millis, 3));
    let mut memory = table("What is then in memory: KB");
    print(&mut memory, &|cell| rounded(cell.bytes / 1e3, 1));
    let mut shares = table(&format!("The largest share of {keys} keys over the mean"));
    let floor = plan
        .sizes
        .map(|size| rounded(by_chance(size, plan.keys), 3));
    shares.row("(even shares, by chance)", floor);
    print(&mut shares, &|cell| rounded(cell.largest, 3));
    let mut disruption = table(&format!(
        "Keys that move when one of n leaves, n × share of {keys}, mean of {} backends",
        plan.leaves,
    ));
    print(&mut disruption, &|cell| rounded(cell.moved.all, 3));
    let mut excess = table("Of these, those of backends that stay: % of all keys");
    print(&mut excess, &|cell| {
        rounded(100.0 * cell.moved.needlessly, 3)
    });

    uneven(plan);

    let mut target = |most, unit, name: &str, size: usize, what, figure: fn(&Cell) -> f64| {
        let row = ROWS.iter().position(|row| row.name == name);
        let figure = figure(&cells[row.expect("one of the rows")][size]);
        let what = format!("{name}, {} backends: {what}", thousands(plan.sizes[size]));
        targets.push(Target::at_most(most, figure, unit, &what));
    };
    for name in ["maglev", "ring-hash"] {
        target(20.0, "ms", name, 2, "built", |cell| cell.millis);
    }
    let quality = [
        ("maglev", 1.04, 1.0),
        ("ring-hash", 1.25, 0.0),
        ("rendezvous", 1.04, 0.0),
    ];
    for (name, most, excess) in quality {
        target(most, "", name, 1, "largest share over mean", |cell| {
            cell.largest
        });
        target(excess, "%", name, 1, "keys that move needlessly", |cell| {
            100.0 * cell.moved.needlessly
        });
    }
}

/// The same last table where weights differ.
fn uneven(plan: &Plan) {
    const MOVES_ALL: [&str; 3] = ["modulo", "nginx-hash", "nginx-ip-hash (of addresses)"];
    // The largest takes long where a pick looks at every backend.
    let sizes = &plan.sizes[..3];
    let columns = || sizes.iter().map(|&size| thousands(size));
    let mut different = Table::new("The same with weights from 1 to 4", columns());
    let mut heavy = Table::new(
        "The same when the one leaves that has half of all weight",
        columns(),
    );
    for row in ROWS.iter().filter(|row| !MOVES_ALL.contains(&row.name)) {
        let picker = (row.picker)(None);
        let excess = |pool: &dyn Fn() -> Pool<()>, leaves: &[usize]| {
            let before = owners(&picker, &pool(), plan.keys / 4);
            let moved = moved(&picker, pool, leaves, &before);
            rounded(100.0 * moved.needlessly, 3)
        };
        let cells = sizes.iter().map(|&size| {
            let different = || pool(size, Weights::Different, &());
            excess(&different, &some_of(size, plan.leaves))
        });
        different.row(row.name, cells);
        let cells = sizes.iter().map(|&size| {
            let heavy = || {
                let pool = pool(size, Weights::Equal, &());
                pool.set_weight(&id(0), size as u32 - 1);
                pool
            };
            excess(&heavy, &[0])
        });
        heavy.row(row.name, cells);
    }
    different.print();
    heavy.print();
}

impl Cell {
    fn measure(plan: &Plan, picker: &Keys, size: usize) -> Self {
        let equal = || pool(size, Weights::Equal, &());
        let pool = equal();
        let mut bytes = 0.0;
        within(&pool, |set| {
            let mut kept = None;
            let info = allocation_counter::measure(|| kept = Some(prepared(picker, set)));
            bytes = info.bytes_current as f64;
        });
        let start = Instant::now();
        let before = owners(picker, &pool, plan.keys);
        // Where a pick looks at every backend, one that leaves has to do.
        let slow = start.elapsed() > Duration::from_secs(2);
        let leaves = if slow { 1 } else { plan.leaves };
        Self {
            millis: build(plan, picker, &pool),
            bytes,
            largest: largest(size, before.iter().copied()),
            moved: moved(picker, equal, &some_of(size, leaves), &before),
        }
    }
}

/// What it takes to prepare, in milliseconds.
fn build(plan: &Plan, picker: &Keys, pool: &Pool<()>) -> f64 {
    let mut nanos = Samples::default();
    allocation_counter::opt_out(|| {
        within(pool, |set| {
            let start = Instant::now();
            while nanos.len() < plan.builds && (nanos.len() == 0 || start.elapsed() < plan.building)
            {
                let one = Instant::now();
                let built = prepared(picker, set);
                nanos.extend([one.elapsed().as_nanos() as f64]);
                drop(built);
            }
        });
    });
    nanos.undisturbed() / 1e6
}

fn millions(keys: usize) -> String {
    if keys.is_multiple_of(1_000_000) {
        format!("{} million", keys / 1_000_000)
    } else {
        thousands(keys)
    }
}
