//! Bodies that are sent again: what a copy yields, when it can, what is kept, and over real
//! connections.

#![cfg(feature = "http")]

mod bounds;
mod broken_off;
mod copies;
mod hedged;
mod hints;
mod kept;
mod layer;
mod over_http;
mod properties;
mod servers;
mod setup;
mod streams;
mod threads;
mod waiting;
mod waiting_over_http;
mod with_retry;
