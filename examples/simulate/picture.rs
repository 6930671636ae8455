use evenkeel::sim::{Period, Scenario};

use crate::Results;
use crate::chart::{Chart, Line, page};
use crate::scale::Axis;
use crate::table::{PERCENTS, mean_and_spread, percentile};

/// Latencies by percentile, and over time; the share of one server over time. An SVG.
pub(crate) fn of(name: &str, scenario: &Scenario, all: &[Results], server: usize) -> String {
    let names: Vec<String> = all
        .iter()
        .map(|results| results.contestant.to_string())
        .collect();
    let unit = scenario.mean_service_time();
    let average = 1.0 / scenario.servers() as f64;
    let heading = format!("{name}: {}", scenario.title());
    let about = about(
        scenario,
        all.first().map_or(0, |results| results.reports.len()),
    );
    let charts = [
        Chart {
            title: "Latency by percentile".to_owned(),
            x: Axis::labelled(
                "percentile of requests",
                PERCENTS
                    .iter()
                    .map(|&percent| (nines(percent), percent.to_string())),
            ),
            y: Axis::logarithmic("mean service times"),
            lines: lines(all, |results| {
                let point = |&percent: &f64| {
                    let latency = |report: &_| percentile(scenario, report, percent);
                    (nines(percent), mean_and_spread(&results.reports, latency).0)
                };
                PERCENTS.iter().map(point).collect()
            }),
        },
        Chart {
            title: "Mean latency over time".to_owned(),
            x: Axis::of_time("time, in thousands of mean service times"),
            y: Axis::logarithmic("mean service times"),
            lines: lines(all, |results| {
                over_time(scenario, results, |period| {
                    period.mean().div_duration_f64(unit)
                })
            }),
        },
        Chart {
            title: format!("Share of server {server} over time"),
            x: Axis::of_time("time, in thousands of mean service times"),
            y: Axis::linear("1 is the average of all"),
            lines: lines(all, |results| {
                over_time(scenario, results, |period| period.share(server) / average)
            }),
        },
    ];
    page(&heading, &about, &names, &charts)
}

/// What was simulated, in a line.
pub(crate) fn about(scenario: &Scenario, seeds: usize) -> String {
    let some = |count: usize, what| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    format!(
        "{}, {}, load {}, {} with each of {}",
        some(scenario.servers(), "server"),
        some(scenario.clients(), "client"),
        scenario.load(),
        some(scenario.requests() as usize, "request"),
        some(seeds, "seed"),
    )
}

/// Each nine of a percentile takes as much room: 90, 99, 99.9.
fn nines(percent: f64) -> f64 {
    -(1.0 - percent / 100.0).log10()
}

fn lines(all: &[Results], line: impl Fn(&Results) -> Line) -> Vec<Line> {
    all.iter().map(line).collect()
}

fn over_time(scenario: &Scenario, results: &Results, value: impl Fn(&Period) -> f64) -> Line {
    let Some(first) = results.reports.first() else {
        return Line::new();
    };
    let unit = scenario.mean_service_time();
    let points = first.periods().iter().enumerate().map(|(at, period)| {
        let of_seed = |report: &evenkeel::sim::Report| value(&report.periods()[at]);
        let (mean, _) = mean_and_spread(&results.reports, of_seed);
        (period.start().div_duration_f64(unit) / 1000.0, mean)
    });
    points.collect()
}
