use std::fmt::Write;

use evenkeel::sim::{Report, Scenario};

use crate::Results;

pub(crate) const PERCENTS: [f64; 5] = [50.0, 90.0, 99.0, 99.9, 99.99];

/// One row for each picker: means over the seeds, and by how much the seeds differ from them.
pub(crate) fn of(scenario: &Scenario, all: &[Results]) -> String {
    let longest = all
        .iter()
        .map(|results| results.contestant.to_string().len());
    let width = longest.max().unwrap_or(0);
    let mut table = format!("{:width$}", "");
    for percent in PERCENTS {
        let _ = write!(table, "{:>17}", format!("p{percent}"));
    }
    table += "  timeouts  failures  probes  max/avg\n";
    for Results {
        contestant,
        reports,
    } in all
    {
        let _ = write!(table, "{contestant:width$}");
        for percent in PERCENTS {
            let latency = |report: &Report| percentile(scenario, report, percent);
            let (mean, spread) = mean_and_spread(reports, latency);
            let cell = match reports.len() {
                1 => format!("{mean:.2}"),
                _ => format!("{mean:.2} ±{spread:.2}"),
            };
            let _ = write!(table, "{cell:>17}");
        }
        let mean = |value: fn(&Report) -> f64| mean_and_spread(reports, value).0;
        let _ = writeln!(
            table,
            "{:10.0}{:10.0}{:8.2}{:9.3}",
            mean(|report| report.timeouts() as f64),
            mean(|report| report.failures() as f64),
            mean(Report::probes_per_request),
            mean(Report::max_over_average),
        );
    }
    table += "\nlatencies in mean service times, ± the furthest of the seeds from their mean";
    table
}

/// In mean service times.
pub(crate) fn percentile(scenario: &Scenario, report: &Report, percent: f64) -> f64 {
    let latency = report.percentile(percent);
    latency.div_duration_f64(scenario.mean_service_time())
}

pub(crate) fn mean_and_spread(reports: &[Report], value: impl Fn(&Report) -> f64) -> (f64, f64) {
    let values: Vec<f64> = reports.iter().map(value).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let furthest = values.iter().map(|value| (value - mean).abs());
    (mean, furthest.fold(0.0, f64::max))
}
