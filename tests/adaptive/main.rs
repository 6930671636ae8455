//! What `Adaptive` promises, and what every picker does that observes, whatever happens to it.
//!
//! Time is virtual. Chance comes from seeds, or from proptest, which prints what it chose for a
//! test that fails.

mod alone;
mod anything;
mod failing;
mod healing;
mod members;
mod others;
#[cfg(feature = "sim")]
mod sim;
mod swapped;
mod virtual_time;
mod world;

use std::time::Duration;

use evenkeel::load::LoadReport;
use proptest::prelude::ProptestConfig;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn in_flight(in_flight: u32) -> LoadReport {
    LoadReport::new().with_in_flight(in_flight)
}
