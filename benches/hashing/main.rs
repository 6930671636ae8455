//! What a pick by key costs, and what the tables behind it are worth.
//!
//! ```text
//! cargo bench --bench hashing                 all of it, about a minute
//! cargo bench --bench hashing -- picks        only this part
//! ```
//!
//! The parts:
//!
//! | part | what it measures |
//! | --- | --- |
//! | `picks` | one pick by a prepared picker from a pool's own set, the hash of an 8-byte key included: equal weights, different ones, and with a bound on the load |
//! | `tables` | what is prepared: time, memory, evenness of the shares, and which keys move when a backend leaves |
//!
//! Picks follow each other without a pause and do not wait for each other's result, so a figure
//! is a share of a busy core, and the processor overlaps their cache misses. No key comes twice.
//! How the noise of a shared machine is kept out is said in `benches/requests`.
//!
//! Without `--bench` (which `cargo bench` passes, and `cargo test --benches` does not) it only
//! tries that everything runs.

#[path = "../common/mod.rs"]
mod common;
mod pickers;
mod picks;
mod quality;
mod tables;

use std::time::Duration;

use self::common::arguments::Arguments;
use self::common::measure::{BATCHES, Effort};

/// What to measure, and how thoroughly.
struct Plan {
    /// Numbers of backends.
    sizes: [usize; 4],
    /// How many keys are placed to see how even shares are.
    keys: usize,
    /// How many backends leave, one after the other, each from the full pool.
    leaves: usize,
    effort: Effort,
    /// How often a table is built at most, and for how long.
    builds: usize,
    building: Duration,
}

impl Plan {
    fn full() -> Self {
        Self {
            sizes: [10, 100, 1_000, 10_000],
            keys: 1_000_000,
            leaves: 5,
            effort: Effort {
                batch: Duration::from_micros(400),
                rounds: 15,
            },
            builds: 31,
            building: Duration::from_secs(1),
        }
    }

    fn smoke() -> Self {
        Self {
            sizes: [3, 10, 20, 30],
            keys: 1_000,
            leaves: 1,
            effort: Effort {
                batch: Duration::from_micros(5),
                rounds: 1,
            },
            builds: 1,
            building: Duration::ZERO,
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
        "{cores} cores. Times are lower quartiles; of {} interleaved rounds of {BATCHES} batches \
         for picks.\nColumns are numbers of backends.",
        plan.effort.rounds,
    );
    let mut targets = Vec::new();
    if arguments.wants("picks") {
        picks::compare(&plan, &mut targets);
    }
    if arguments.wants("tables") {
        tables::compare(&plan, &mut targets);
    }
    println!("\nTargets\n");
    for target in targets {
        println!("{target}");
    }
}
