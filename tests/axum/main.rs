//! A `Balance` behind an axum router: what its errors become, and that requests in flight are
//! counted back however a response ends, over real connections.

#![cfg(feature = "http")]

mod bodies;
mod errors;
mod setup;
