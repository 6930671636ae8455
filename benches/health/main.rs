//! What it costs to look after the health of a pool.
//!
//! ```text
//! cargo bench --bench health                     all of it, about three minutes
//! cargo bench --bench health -- picks changes    only these parts
//! ```
//!
//! The parts:
//!
//! | part | what it measures |
//! | --- | --- |
//! | `picks` | the pick alone, with health watched and not |
//! | `requests` | clone, ready, call and response over a no-op service, with health watched and not |
//! | `slow_start` | the same while one of the backends starts slowly |
//! | `probes` | the processor time for probing 10,000 backends every 5 s |
//! | `changes` | how soon a pick sees a change of state in a pool of 10,000 |
//!
//! The machine may be shared with others, so what is compared is measured in short batches and
//! interleaved rounds, each time anew for several pools, since no two lie in memory alike. A ratio
//! or a difference is the median of those within each round. At the end stand the project's
//! targets; a missed one does not fail the run.
//!
//! Without `--bench` (which `cargo bench` passes, and `cargo test --benches` does not) it only
//! tries that everything runs.

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod cpu;
mod look;
mod pickers;
mod picks;
mod probes;
mod requests;
mod servers;
mod slow_start;
mod variants;

use std::time::Duration;

use self::common::arguments::Arguments;
use self::common::measure::{BATCHES, Effort};

/// What to measure, and how thoroughly.
struct Plan {
    /// Numbers of backends for the tables.
    sizes: [usize; 4],
    /// How often the pools are made anew.
    pools: usize,
    /// With each.
    rounds: usize,
    batch: Duration,
    probes: Probing,
    /// The number of backends for changes of state, and of those changes for each figure.
    pool: usize,
    changes: usize,
}

struct Probing {
    backends: usize,
    interval: Duration,
    /// For how long it is measured.
    time: Duration,
}

impl Plan {
    fn full() -> Self {
        Self {
            sizes: [3, 100, 1_000, 10_000],
            pools: 12,
            rounds: 4,
            batch: Duration::from_micros(200),
            probes: Probing {
                backends: 10_000,
                interval: Duration::from_secs(5),
                time: Duration::from_secs(20),
            },
            pool: 10_000,
            changes: 60,
        }
    }

    fn smoke() -> Self {
        Self {
            sizes: [3, 10, 20, 30],
            pools: 1,
            rounds: 1,
            batch: Duration::from_micros(5),
            probes: Probing {
                backends: 20,
                interval: Duration::from_millis(50),
                time: Duration::from_millis(200),
            },
            pool: 100,
            changes: 2,
        }
    }

    /// A batch, of which one runs before those that count, meets most of a pool's backends.
    fn effort(&self, size: usize) -> Effort {
        const LARGE: usize = 10_000;
        let batch = self.batch * if size < LARGE { 1 } else { 5 };
        Effort {
            batch,
            rounds: self.rounds,
        }
    }
}

fn main() {
    let arguments = Arguments::read();
    if arguments.has(servers::FLAG) {
        servers::serve();
        return;
    }
    let plan = if arguments.is_full() {
        Plan::full()
    } else {
        Plan::smoke()
    };

    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    println!(
        "{cores} cores. Columns of picks and requests are numbers of backends; their figures come \
         from\n{} interleaved rounds of {BATCHES} batches for each of {} pools.",
        plan.rounds, plan.pools,
    );
    let mut targets = Vec::new();
    if arguments.wants("picks") {
        picks::compare(&plan, &mut targets);
    }
    if arguments.wants("requests") {
        requests::compare(&plan, &mut targets);
    }
    if arguments.wants("slow_start") {
        slow_start::compare(&plan);
    }
    if arguments.wants("probes") {
        probes::measure(&plan.probes, &mut targets);
    }
    if arguments.wants("changes") {
        changes::measure(&plan, &mut targets);
    }
    println!("\nTargets\n");
    for target in targets {
        println!("{target}");
    }
}
