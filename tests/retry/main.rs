//! Requests that are sent again.

#![cfg(feature = "tower")]

mod cancelled;
mod cost;
mod elsewhere;
mod hedges;
mod outcomes;
mod pauses;
mod properties;
#[cfg(feature = "http")]
mod recovery;
mod setup;
mod storm;
mod visible;
