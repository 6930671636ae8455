//! Requests that are sent again.

#![cfg(feature = "tower")]

mod elsewhere;
mod hedges;
mod outcomes;
mod pauses;
mod setup;
mod storm;
mod visible;
