//! What `Prequal` promises: the rule, step by step and against a model of it, and probes that are
//! sent for it.
//!
//! Chance comes from seeds, or from proptest, which prints what it chose for a test that fails.

mod model;
mod pool;
mod removal;
mod rule;
#[cfg(feature = "tower")]
mod sending;
mod threads;

use std::time::{Duration, Instant};

use evenkeel::backend::{Event, Handle, Observation};
use evenkeel::load::LoadReport;
use evenkeel::picker::{Context, Prequal};
use evenkeel::{BackendSet, Picker};

/// A moment to count from.
fn start() -> Instant {
    Instant::now()
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// So many backends of weight 1.
fn backends(n: usize) -> Vec<&'static str> {
    vec![""; n]
}

fn report(in_flight: u32, latency_ms: u64) -> LoadReport {
    LoadReport::new()
        .with_in_flight(in_flight)
        .with_latency(millis(latency_ms))
}

/// A backend answers a probe.
fn answer(picker: &Prequal, backend: Handle, at: Instant, report: LoadReport) {
    let probed = Observation::new(at, Event::Probed(report));
    Picker::<()>::observe(picker, backend, &probed);
}

/// The backends of a slice answer, all at once, in this order, as (in flight, latency in ms).
fn answers(picker: &Prequal, at: Instant, loads: &[(u32, u64)]) {
    for (slot, &(in_flight, latency)) in loads.iter().enumerate() {
        answer(
            picker,
            Handle::of_slot(slot),
            at,
            report(in_flight, latency),
        );
    }
}

fn pick_at(picker: &Prequal, set: &dyn BackendSet, now: Instant, seed: u64) -> Option<usize> {
    let mut cx = Context::new().at(now).seed(seed);
    Picker::<()>::pick(picker, set, &(), &mut cx)
}

/// A picker that keeps its answers, so that one step of the rule can be seen at a time. (Among so
/// few backends none is used up.)
fn keeping() -> Prequal {
    Prequal::new().removals_per_request(0.0).expect("valid")
}

/// The same, of which the fastest is picked however loaded.
fn fastest() -> Prequal {
    keeping().hot_quantile(1.0).expect("valid")
}

/// How often each backend is picked by pickers made alike, each for one pick with its own seed.
fn shares(make: impl Fn() -> Prequal, set: &dyn BackendSet, now: Instant) -> Vec<u32> {
    let mut counts = vec![0; set.len()];
    for seed in 0..3_000 {
        let picked = pick_at(&make(), set, now, seed).expect("some can be picked");
        counts[picked] += 1;
    }
    counts
}
