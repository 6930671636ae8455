//! Compares pickers in virtual time: a table, and a picture.
//!
//! ```text
//! cargo run --release --features sim --example simulate -- --scenario w2 --clients 10
//! ```
//!
//! `cargo run --release --features sim --example simulate -- --help` tells the rest.

mod chart;
mod contestant;
mod options;
mod picture;
mod scale;
mod table;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use evenkeel::sim::{Report, Scenario};

use crate::contestant::Contestant;
use crate::options::{Options, Stop};

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

fn run(options: Options) -> Result<(), Stop> {
    let scenario = &options.scenario;
    let about = picture::about(scenario, options.seeds as usize);
    println!("{}: {}\n{about}\n", options.name, scenario.title());
    let all = simulate(scenario, options.contestants, options.seeds);
    println!("{}", table::of(scenario, &all));
    let picture = picture::of(&options.name, scenario, &all, options.server);
    let path = options.svg;
    std::fs::write(&path, picture)
        .map_err(|error| Stop::Failed(format!("cannot write {}: {error}", path.display())))?;
    println!("\npicture: {}", path.display());
    Ok(())
}

/// All pickers with all seeds, as many at once as there are processors.
fn simulate(scenario: &Scenario, contestants: Vec<Contestant>, seeds: u64) -> Vec<Results> {
    let runs: Vec<(usize, u64)> = (0..contestants.len())
        .flat_map(|at| (1..=seeds).map(move |seed| (at, seed)))
        .collect();
    let next = AtomicUsize::new(0);
    let reports = Mutex::new(Vec::new());
    let work = || {
        while let Some(&(at, seed)) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let report = contestants[at].run(scenario, seed);
            let mut reports = reports.lock().unwrap();
            reports.push((at, report));
        }
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..processors.min(runs.len()) {
            scope.spawn(work);
        }
    });
    let mut all: Vec<Results> = contestants
        .into_iter()
        .map(|contestant| Results {
            contestant,
            reports: Vec::new(),
        })
        .collect();
    let mut reports = reports.into_inner().unwrap();
    reports.sort_by_key(|(at, report)| (*at, report.seed()));
    for (at, report) in reports {
        all[at].reports.push(report);
    }
    all
}
