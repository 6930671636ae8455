//! The text format of Prometheus, version 0.0.4.

use std::fmt::{self, Display, Formatter, Write};
use std::time::Instant;

use super::series::Series;
use crate::backend::{Outcome, State};
use crate::set::{PoolStatus, SourceStatus};

/// How pools are, with no more than so many backends of each one by one.
pub(super) fn text(pools: &[(&str, PoolStatus)], most: usize) -> String {
    let mut text = Text(String::new());
    of_pools(&mut text, pools);
    let all: Vec<Series<'_>> = pools
        .iter()
        .flat_map(|(name, status)| Series::of(name, status, most))
        .collect();
    of_backends(&mut text, &all);
    of_requests(&mut text, &all);
    text.0
}

type OfPool = fn(&PoolStatus) -> usize;
type OfSource = fn(&SourceStatus, Instant) -> Option<f64>;
type OfBackend = fn(&Series<'_>) -> Option<f64>;

fn of_pools(text: &mut Text, pools: &[(&str, PoolStatus)]) {
    text.family("backends", "gauge", "Members in each state.");
    for (pool, status) in pools {
        for state in State::ALL {
            let labels = [("pool", *pool), ("state", state.name())];
            text.sample("backends", &labels, status.count_of(state));
        }
    }
    for (name, help, value) in [
        (
            "pool_panic",
            "Whether any tier ignores health.",
            (|status| usize::from(status.is_in_panic())) as OfPool,
        ),
        (
            "pool_watched",
            "Whether the members' health is watched.",
            |status| usize::from(status.is_watched()),
        ),
        (
            "queued_requests",
            "Requests that wait for room at a backend.",
            PoolStatus::queued,
        ),
    ] {
        text.family(name, "gauge", help);
        for (pool, status) in pools {
            text.sample(name, &[("pool", pool)], value(status));
        }
    }
    let name = "tier_share_ratio";
    text.family(name, "gauge", "Part of the requests that a tier gets.");
    for (pool, status) in pools {
        for tier in status.tiers() {
            let priority = tier.priority().to_string();
            text.sample(
                name,
                &[("pool", pool), ("priority", &priority)],
                tier.share(),
            );
        }
    }
    let name = "source_state";
    text.family(
        name,
        "gauge",
        "1 for the state that a source of members is in.",
    );
    for (pool, status) in pools {
        for source in status.sources() {
            let state = ("state", source.state().name());
            text.sample(name, &[("pool", pool), ("source", source.name()), state], 1);
        }
    }
    for (name, help, value) in [
        (
            "source_age_seconds",
            "How long ago the pool took what a source says.",
            (|source, now| {
                let age = now.saturating_duration_since(source.updated()?);
                Some(age.as_secs_f64())
            }) as OfSource,
        ),
        (
            "source_skipped",
            "Entries of a source that are no good.",
            |source, _| Some(source.skipped() as f64),
        ),
    ] {
        text.family(name, "gauge", help);
        for (pool, status) in pools {
            for source in status.sources() {
                if let Some(value) = value(source, status.at()) {
                    text.sample(name, &[("pool", pool), ("source", source.name())], value);
                }
            }
        }
    }
}

fn of_backends(text: &mut Text, all: &[Series<'_>]) {
    text.family(
        "backend_state",
        "gauge",
        "1 for the state that a backend is in.",
    );
    for series in all {
        for &(state, count) in &series.states {
            let [pool, backend] = labels(series);
            text.sample(
                "backend_state",
                &[pool, backend, ("state", state.name())],
                count,
            );
        }
    }
    for (name, help, value) in [
        (
            "backend_eligible",
            "Whether a backend can be picked.",
            (|series| Some(series.eligible as f64)) as OfBackend,
        ),
        (
            "backend_share_ratio",
            "Part of a full share that a backend gets.",
            |series| Some(series.mean_share()),
        ),
        ("backend_weight", "Weight of a backend.", |series| {
            Some(series.weight as f64)
        }),
        (
            "attempts_in_flight",
            "Requests in flight at a backend.",
            |series| Some(series.in_flight as f64),
        ),
        (
            "backend_max_in_flight_requests",
            "How many requests a backend takes at once, if that is limited.",
            |series| Some(series.max_in_flight? as f64),
        ),
        (
            "backend_ejection_remaining_seconds",
            "How long a backend that was ejected stays out.",
            |series| series.ejected_for,
        ),
        (
            "backend_expected_latency_seconds",
            "Time to a response head that pickers expect of a backend.",
            |series| series.expected,
        ),
    ] {
        text.family(name, "gauge", help);
        for series in all {
            if let Some(value) = value(series) {
                text.sample(name, &labels(series), value);
            }
        }
    }
}

fn of_requests(text: &mut Text, all: &[Series<'_>]) {
    let name = "attempts_total";
    text.family(name, "counter", "Attempts that have ended.");
    for series in all {
        let [pool, backend] = labels(series);
        for (outcome, count) in [
            (Outcome::Success, series.counts.successes()),
            (Outcome::Rejected, series.counts.rejected()),
            (Outcome::Cancelled, series.counts.cancelled()),
        ] {
            text.sample(name, &[pool, backend, ("outcome", outcome.name())], count);
        }
        for (failure, count) in series.counts.failures_by_kind() {
            let outcome = ("outcome", Outcome::Failure(failure).name());
            let kind = ("error_type", failure.name());
            text.sample(name, &[pool, backend, outcome, kind], count);
        }
    }
    let name = "backend_latency_seconds";
    let help = "Time to a response head, of those requests that were measured.";
    text.family(name, "summary", help);
    for series in all {
        let Some(latencies) = &series.latencies else {
            continue;
        };
        let [pool, backend] = labels(series);
        for (quantile, part) in [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99)] {
            let latency = latencies.percentile(part);
            let seconds = latency.map_or(f64::NAN, |latency| latency.as_secs_f64());
            text.sample(name, &[pool, backend, ("quantile", quantile)], seconds);
        }
        let sum = latencies.sum().as_secs_f64();
        text.sample("backend_latency_seconds_sum", &[pool, backend], sum);
        text.sample(
            "backend_latency_seconds_count",
            &[pool, backend],
            latencies.total(),
        );
    }
}

fn labels<'a>(series: &Series<'a>) -> [(&'static str, &'a str); 2] {
    [("pool", series.pool), ("backend", series.backend)]
}

/// What is written so far. Writing to a string cannot fail.
struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP evenkeel_{name} {help}");
        let _ = writeln!(self.0, "# TYPE evenkeel_{name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.0, "evenkeel_{name}");
        let mut before = '{';
        for (label, text) in labels {
            let _ = write!(self.0, "{before}{label}=\"{}\"", Escaped(text));
            before = ',';
        }
        let _ = writeln!(self.0, "}} {value}");
    }
}

/// A label's value.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}
