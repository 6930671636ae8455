use std::fmt::Write;

use super::column::{lost, p99};
use super::row::Row;
use super::{FIRST_SEED, Measured, findings};
use crate::options::GuideOptions;
use crate::table::mean_and_spread;

/// Between these the figures stand, each on a line of its own.
pub(super) const BEGIN: &str = "<!-- figures of `simulate --guide` -->";
pub(super) const END: &str = "<!-- end of the figures -->";

/// What stands before the figures and after them, with their marks.
pub(super) fn around_the_figures(page: &str) -> Option<(&str, &str)> {
    let begin = page.find(BEGIN)? + BEGIN.len();
    let end = page.find(END)?;
    (begin <= end).then(|| (&page[..begin], &page[end..]))
}

pub(super) fn figures(options: &GuideOptions, measured: &[(&str, Vec<Measured>)]) -> String {
    let last = FIRST_SEED + options.seeds - 1;
    let mut page = format!(
        "\n\n{} requests in each run, the first fifth of which is not measured, with each of the seeds \
         {FIRST_SEED} to {last}. p99 in mean service times: the mean of the seeds, ± the furthest of \
         them. The lowest of each column in bold, the central queue aside.\n",
        options.requests
    );
    for (title, table) in measured {
        let _ = write!(page, "\n{title}:\n\n|");
        for Measured { column, .. } in table {
            let _ = write!(page, " | {}", column.head);
            if column.loses {
                let _ = write!(page, " | … lost, %");
            }
        }
        page += " |\n| ---";
        for Measured { column, .. } in table {
            page += if column.loses {
                " | --- | ---"
            } else {
                " | ---"
            };
        }
        page += " |\n";
        let lowest: Vec<f64> = table.iter().map(lowest).collect();
        for (at, row) in Row::ALL.into_iter().enumerate() {
            let _ = write!(page, "| {}", row.name());
            for (measured, &lowest) in table.iter().zip(&lowest) {
                let (reports, scenario) = (&measured.rows[at], &measured.column.scenario);
                let (mean, spread) = mean_and_spread(reports, |report| p99(scenario, report));
                let bold = if mean <= lowest && !row.is_central_queue() {
                    "**"
                } else {
                    ""
                };
                let _ = match mean {
                    100.0.. => write!(page, " | {bold}{mean:.0}{bold} ±{spread:.0}"),
                    _ => write!(page, " | {bold}{mean:.2}{bold} ±{spread:.2}"),
                };
                if measured.column.loses {
                    let (mean, spread) = mean_and_spread(reports, lost);
                    let _ = write!(page, " | {mean:.2} ±{spread:.2}");
                }
            }
            page += " |\n";
        }
    }
    page += &findings::of(measured);
    page += "\n";
    page
}

fn lowest(measured: &Measured) -> f64 {
    let pickers = Row::ALL.into_iter().filter(|row| !row.is_central_queue());
    pickers
        .map(|row| measured.mean(row))
        .fold(f64::INFINITY, f64::min)
}
