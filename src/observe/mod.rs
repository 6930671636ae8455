//! Shows what happens to those who look after a program.
//!
//! * [`Observer`]: is told of each attempt at each backend. It needs no feature.
#![cfg_attr(
    feature = "metrics",
    doc = "* [`Metrics`]: counts for the `metrics` facade."
)]
#![cfg_attr(
    feature = "tracing",
    doc = "* [`TraceAttempts`]: tells `tracing` of attempts at requests that are retried."
)]

#[cfg(feature = "metrics")]
mod metrics;
mod observer;
#[cfg(feature = "tracing")]
mod trace_attempts;

#[cfg(feature = "metrics")]
pub use self::metrics::Metrics;
pub use self::observer::Observer;
pub(crate) use self::observer::{Both, Heard};
#[cfg(feature = "tracing")]
pub use self::trace_attempts::TraceAttempts;
