//! The limits of single backends, and those who wait for room at any of them.

mod backends;
mod order;
mod setup;
mod storm;
mod threads;
mod time;
