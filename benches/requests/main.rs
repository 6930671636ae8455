//! What a request through a `Balance` costs, next to tower's own.
//!
//! ```text
//! cargo bench --bench requests                       all of it, less than a minute
//! cargo bench --bench requests -- pickers compare    only these parts
//! ```
//!
//! The parts:
//!
//! | part | what it measures |
//! | --- | --- |
//! | `pickers` | clone, ready, call and response over a no-op service: every picker, 3 to 10,000 backends |
//! | `loads` | the same for exact least requests over backends that are busy, and of weights from 1 to 10 |
//! | `picks` | the pick alone |
//! | `probed` | the pick of `Prequal` with its pool full, and what answers to probes cost |
//! | `threads` | the same requests on two threads, and what the second one gains with 1 µs of work in the service |
//! | `changes` | one change of the membership, with a balance over the pool |
//! | `stack` | what retries, limits and ejection add to a request that goes well |
//! | `compare` | tower's p2c `Balance`: alone, and behind the `Buffer` that it needs to be shared |
//!
//! The machine may be shared with others, so a part is measured in short batches and interleaved
//! rounds. A figure is the lower quartile of its rounds, a ratio the median of the ratios within
//! each round. At the end stand the project's targets; a missed one does not fail the run.
//!
//! Without `--bench` (which `cargo bench` passes, and `cargo test --benches` does not) it only
//! tries that everything runs.

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod compare;
mod loads;
mod ours;
mod pickers;
mod probed;
mod stack;
mod theirs;
mod threads;

use std::hint::black_box;
use std::time::{Duration, Instant};

use self::common::arguments::Arguments;
use self::common::measure::{BATCHES, Case, Effort, interleave};
use self::common::report;

/// What to measure, and how thoroughly.
struct Plan {
    smoke: bool,
    /// Numbers of backends for the tables.
    sizes: [usize; 4],
    /// The same for the comparison with tower.
    against: [usize; 4],
    /// The same for changes.
    pools: [usize; 2],
    effort: Effort,
}

impl Plan {
    fn full() -> Self {
        Self {
            smoke: false,
            sizes: [3, 100, 1_000, 10_000],
            against: [10, 100, 1_000, 10_000],
            pools: [100, 10_000],
            effort: Effort {
                batch: Duration::from_micros(400),
                rounds: 15,
            },
        }
    }

    fn smoke() -> Self {
        Self {
            smoke: true,
            sizes: [3, 10, 20, 30],
            against: [3, 10, 20, 30],
            pools: [10, 30],
            effort: Effort {
                batch: Duration::from_micros(5),
                rounds: 1,
            },
        }
    }
}

fn main() {
    let arguments = Arguments::read();
    let plan = if arguments.is_full() {
        Plan::full()
    } else {
        Plan::smoke()
    };

    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{cores} cores. Figures are lower quartiles of {} interleaved rounds of {BATCHES} batches;\n\
         columns are numbers of backends. In-flight tracking is on everywhere.\n\
         One reading of the clock takes {} ns.",
        plan.effort.rounds,
        report::figure(clock(&plan)),
    );
    let mut targets = Vec::new();
    if arguments.wants("pickers") {
        pickers::requests(&plan);
    }
    if arguments.wants("loads") {
        loads::compare(&plan);
    }
    if arguments.wants("picks") {
        pickers::alone(&plan);
    }
    if arguments.wants("probed") {
        probed::alone(&plan, &mut targets);
    }
    if arguments.wants("threads") {
        threads::compare(&plan, &mut targets);
    }
    if arguments.wants("changes") {
        changes::compare(&plan, &mut targets);
    }
    if arguments.wants("stack") {
        stack::compare(&plan, &mut targets);
    }
    if arguments.wants("compare") {
        compare::compare(&plan, &mut targets);
    }
    println!("\nTargets\n");
    for target in targets {
        println!("{target}");
    }
}

/// What is measured twice for each request where latency counts, and differs much between machines.
fn clock(plan: &Plan) -> f64 {
    let case = Case::new(|n| {
        for _ in 0..n {
            black_box(Instant::now());
        }
    });
    interleave(&mut [case], &plan.effort)[0].undisturbed()
}
