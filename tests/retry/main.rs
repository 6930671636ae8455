//! Requests that are sent again.

#![cfg(feature = "tower")]

mod cancelled;
mod cost;
mod elsewhere;
mod hedge_copies;
mod hedge_delays;
mod hedge_targets;
mod hedges;
mod outcomes;
#[cfg(feature = "http")]
mod over_http;
mod pauses;
mod properties;
#[cfg(feature = "http")]
mod recovery;
mod setup;
mod storm;
mod told;
mod visible;
