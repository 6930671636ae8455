//! Compares pickers in virtual time: a table, and a picture.
//!
//! ```text
//! cargo run --release --features sim --example simulate -- --scenario w2 --clients 10
//! ```
//!
//! The figures of the guide's page on choosing, which it replaces in `docs/`, in some ten minutes:
//!
//! ```text
//! cargo run --release --features sim --example simulate -- --guide docs
//! ```
//!
//! `cargo run --release --features sim --example simulate -- --help` tells the rest.

mod chart;
mod contestant;
mod guide;
mod options;
mod parallel;
mod picture;
mod scale;
mod table;

use std::process::ExitCode;

use evenkeel::sim::{Report, Scenario};

use crate::contestant::Contestant;
use crate::options::{Options, Stop, Task};

/// What came of one picker, with each seed.
struct Results {
    contestant: Contestant,
    reports: Vec<Report>,
}

fn main() -> ExitCode {
    let (message, code) = match options::parse(lexopt::Parser::from_env()).and_then(run) {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Stop::Help) => {
            print!("{}", options::usage());
            return ExitCode::SUCCESS;
        }
        Err(Stop::BadArgument(message)) => (message, 2),
        Err(Stop::Failed(message)) => (message, 1),
    };
    eprintln!("error: {message}");
    ExitCode::from(code)
}

fn run(task: Task) -> Result<(), Stop> {
    match task {
        Task::Compare(options) => compare(&options),
        Task::Guide(options) => guide::write(&options),
    }
}

fn compare(options: &Options) -> Result<(), Stop> {
    let scenario = &options.scenario;
    let about = picture::about(scenario, options.seeds as usize);
    println!("{}: {}\n{about}\n", options.name, scenario.title());
    let all = simulate(scenario, &options.contestants, options.seeds);
    println!("{}", table::of(scenario, &all));
    let picture = picture::of(&options.name, scenario, &all, options.server);
    let path = &options.svg;
    std::fs::write(path, picture)
        .map_err(|error| Stop::Failed(format!("cannot write {}: {error}", path.display())))?;
    println!("\npicture: {}", path.display());
    Ok(())
}

/// All pickers with all seeds.
fn simulate(scenario: &Scenario, contestants: &[Contestant], seeds: u64) -> Vec<Results> {
    let seeds = seeds as usize;
    let mut reports = parallel::map(contestants.len() * seeds, |run| {
        contestants[run / seeds].run(scenario, (run % seeds) as u64 + 1)
    })
    .into_iter();
    let results = contestants.iter().map(|&contestant| Results {
        contestant,
        reports: reports.by_ref().take(seeds).collect(),
    });
    results.collect()
}
