//! What a pool of 100,000 backends costs.
//!
//! ```text
//! cargo bench --bench scale                     all of it, about two minutes
//! cargo bench --bench scale -- memory churn     only these parts
//! ```
//!
//! The parts:
//!
//! | part | what it measures |
//! | --- | --- |
//! | `memory` | bytes for each backend, beside its id and its service |
//! | `changes` | how long it takes to replace all members, none of them, a hundred, and one |
//! | `churn` | 10,000 changes a second, in batches and through a source, while two threads pick: whether all arrive, and how long picks take beside those in a quiet pool |
//! | `services` | services that are made when they are needed and dropped when they are idle |
//!
//! Times depend on the machine, and stand for orders of magnitude; what is compared is measured in
//! turn in one run. At the end stand the project's targets; a missed one does not fail the run.
//!
//! Without `--bench` (which `cargo bench` passes, and `cargo test --benches` does not) it only
//! tries that everything runs.

mod changes;
mod churn;
#[path = "../common/mod.rs"]
mod common;
mod memory;
mod services;

use std::sync::Arc;
use std::time::Duration;

use evenkeel::{Backend, Pool};

use self::common::arguments::Arguments;

/// How much of it.
struct Plan {
    backends: usize,
    /// How often each change is made.
    times: usize,
    /// How long picks are measured, quiet and not, in turn.
    stretch: Duration,
    rounds: usize,
}

fn main() {
    let arguments = Arguments::read();
    let plan = if arguments.is_full() {
        Plan {
            backends: 100_000,
            times: 101,
            stretch: Duration::from_secs(2),
            rounds: 7,
        }
    } else {
        Plan {
            backends: 300,
            times: 3,
            stretch: Duration::from_millis(50),
            rounds: 1,
        }
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!("{} backends, {cores} cores.", plan.backends);
    let mut targets = Vec::new();
    if arguments.wants("memory") {
        memory::measure(&plan, &mut targets);
    }
    if arguments.wants("changes") {
        changes::measure(&plan);
    }
    if arguments.wants("churn") {
        churn::measure(&plan, &mut targets);
    }
    if arguments.wants("services") {
        services::measure(&plan);
    }
    println!("\nTargets\n");
    for target in targets {
        println!("{target}");
    }
}

/// Ids such as addresses have.
fn ids(backends: usize) -> Vec<Arc<str>> {
    let id = |at: usize| format!("10.{}.{}.{}:8080", at >> 16, (at >> 8) & 255, at & 255);
    (0..backends).map(|at| id(at).into()).collect()
}

/// Every fifth with another weight, if they are to differ.
fn pool(ids: &[Arc<str>], differ: bool) -> Pool<()> {
    let backend = |(at, id): (usize, &Arc<str>)| {
        let weight = if differ && at % 5 == 0 { 2 } else { 1 };
        Backend::new(Arc::clone(id), ()).weight(weight)
    };
    let pool = Pool::new();
    pool.replace_all(ids.iter().enumerate().map(backend));
    pool
}
