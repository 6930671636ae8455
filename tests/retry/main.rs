//! Requests that are sent again.

#![cfg(feature = "tower")]

mod cancelled;
mod cost;
mod elsewhere;
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
