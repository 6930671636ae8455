//! The limits of single backends, and those who wait for room at any of them.

mod backends;
mod changes;
mod meanwhile;
mod order;
mod ramps;
mod refused;
mod settled;
mod setup;
mod spill;
mod storm;
mod threads;
mod time;
mod work;
