//! What takes backends out, what brings them back, and when. On paused time.

#![cfg(feature = "tower")]

mod bound;
mod ejection;
mod flapping;
mod operators;
mod outliers;
mod panic;
mod probes;
mod returning;
mod setup;
mod slow_start;
mod tiers;
mod trials;
mod watching;
mod zones;
