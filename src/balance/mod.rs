//! The tower service and layer that spread requests over a pool.
//!
//! [`Balance`] is a service that any number of tasks share by cloning: no queue, no worker, no lock
//! between a request and its backend. [`BalanceLayer`](crate::http::BalanceLayer) is the same
//! around one HTTP client, for pools of addresses.
//!
//! # The path of a request
//!
//! ```text
//! call ──> pick ──> is the picked backend ready? ──yes──> call it ──> count until the response ends
//!            ^                 │ no
//!            │                 v
//!            └── pass over it and pick again; when all are passed over, wait for the first of
//!                them, or for a change of the pool, up to `max_wait`; then fail and say why
//! ```

mod attempt;
mod attempted;
mod awaited;
mod client_error;
mod error;
mod future;
mod probing;
mod ramp;
mod route;
mod service;
mod shared;
mod time_limit;
mod track;
mod waiting;
mod waits;

pub(crate) use self::attempt::Terms;
pub use self::attempt::{Attempt, Attempts};
pub use self::attempted::Attempted;
#[cfg(feature = "tracing")]
pub(crate) use self::attempted::Comma;
pub use self::awaited::Awaited;
pub use self::client_error::ClientError;
pub use self::error::{Error, PassedOver, Reason};
pub use self::future::ResponseFuture;
pub use self::route::{Direct, Route};
pub use self::service::Balance;
pub(crate) use self::service::short_ways_in;
pub(crate) use self::shared::{Shared, share};
pub use self::track::{Head, OnResponse, Track};
#[cfg(feature = "http")]
pub(crate) use self::track::{never_left, outcome_of};
pub(crate) use self::waits::Timer;
#[cfg(feature = "http")]
pub(crate) use self::waits::Waits;
