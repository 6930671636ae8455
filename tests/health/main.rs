//! What takes backends out, what brings them back, and when. On paused time.

#![cfg(feature = "tower")]

mod bound;
mod ejection;
mod outliers;
mod setup;
mod trials;
