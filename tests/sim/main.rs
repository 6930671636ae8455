//! The simulator: that it agrees with theory, repeats itself, and loses no request.

mod events;
mod fleet;
mod repeated;
mod settings;
mod theory;

use std::time::Duration;

/// In mean service times, which are 100 ms where nothing else is said.
fn units(latency: Duration) -> f64 {
    latency.div_duration_f64(Duration::from_millis(100))
}

#[track_caller]
fn assert_close(what: &str, measured: f64, expected: f64, tolerance: f64) {
    let off = (measured / expected - 1.0).abs();
    assert!(
        off <= tolerance,
        "{what}: {measured} instead of {expected}, off by {:.1} %",
        off * 100.0
    );
}
