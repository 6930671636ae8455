//! The figures of the guide's page on choosing a picker.

mod column;
mod findings;
mod markdown;
mod picture;
mod row;

use std::path::Path;
use std::time::Instant;

use evenkeel::sim::Report;

use self::column::{Column, Table, p99, tables};
use self::row::Row;
use crate::options::{GuideOptions, Stop};
use crate::parallel;
use crate::table::mean_and_spread;

/// What came of a column: the reports of each row, in the order of [`Row::ALL`].
struct Measured {
    column: Column,
    rows: Vec<Vec<Report>>,
}

impl Measured {
    fn mean(&self, row: Row) -> f64 {
        let at = Row::ALL.iter().position(|&other| other == row);
        let reports = &self.rows[at.expect("it is one of all")];
        mean_and_spread(reports, |report| p99(&self.column.scenario, report)).0
    }
}

/// Others than those with which the adaptive picker was tuned.
const FIRST_SEED: u64 = 101;

/// Simulates all of it, and puts it into the page and beside it.
pub(crate) fn write(options: &GuideOptions) -> Result<(), Stop> {
    let page = options.docs.join("choosing.md");
    let text = read(&page)?;
    let (before, after) = markdown::around_the_figures(&text).ok_or_else(|| {
        let (begin, end) = (markdown::BEGIN, markdown::END);
        Stop::Failed(format!("no {begin} and {end} in {}", page.display()))
    })?;
    let started = Instant::now();
    let mut measured = Vec::new();
    for Table { title, columns } in tables(options.requests)? {
        let mut table = Vec::new();
        for column in columns {
            eprintln!("{:4.0} s  {}", started.elapsed().as_secs_f64(), column.name);
            table.push(simulate(column, options.seeds as usize)?);
        }
        measured.push((title, table));
    }
    let figures = markdown::figures(options, &measured);
    print!("{figures}");
    save(&page, &format!("{before}{figures}{after}"))?;
    let all: Vec<_> = measured.iter().flat_map(|(_, table)| table).collect();
    save(
        &options.docs.join("choosing.svg"),
        &picture::of(options, &all),
    )
}

fn simulate(column: Column, seeds: usize) -> Result<Measured, Stop> {
    let reports = parallel::map(Row::ALL.len() * seeds, |run| {
        let seed = FIRST_SEED + (run % seeds) as u64;
        Row::ALL[run / seeds].run(&column.scenario, seed)
    });
    let reports: Result<Vec<Report>, _> = reports.into_iter().collect();
    let mut reports = reports
        .map_err(|error| Stop::Failed(error.to_string()))?
        .into_iter();
    let rows = Row::ALL.map(|_| reports.by_ref().take(seeds).collect());
    Ok(Measured {
        column,
        rows: rows.into(),
    })
}

fn read(path: &Path) -> Result<String, Stop> {
    std::fs::read_to_string(path)
        .map_err(|error| Stop::Failed(format!("cannot read {}: {error}", path.display())))
}

fn save(path: &Path, text: &str) -> Result<(), Stop> {
    std::fs::write(path, text)
        .map_err(|error| Stop::Failed(format!("cannot write {}: {error}", path.display())))
}
