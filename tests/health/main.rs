//! What takes backends out, what brings them back, and when. On paused time.

#![cfg(feature = "tower")]
// Shares of exactly 0, 0.1 and 1 are meant.
#![allow(clippy::float_cmp)]

mod bound;
mod ejection;
mod extremes;
mod flapping;
mod latency;
mod misbehaving;
mod operators;
mod outliers;
mod panic;
mod probe_times;
mod probes;
mod properties;
mod regressions;
mod returning;
mod setup;
mod slow_start;
mod tiers;
mod trials;
mod watching;
mod world;
mod zones;
