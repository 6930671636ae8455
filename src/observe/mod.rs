//! Shows what happens to those who look after a program.
//!
//! * [`Observer`]: is told of each attempt at each backend. It needs no feature.
//! * [`Explained`]: says of a request, when asked, why it went where it did. It needs no feature.
#![cfg_attr(
    feature = "metrics",
    doc = "* [`Metrics`]: counts for the `metrics` facade."
)]
#![cfg_attr(
    feature = "tracing",
    doc = "* [`TraceAttempts`]: tells `tracing` of attempts at requests that are retried, as events."
)]
#![cfg_attr(
    all(feature = "http", feature = "tracing"),
    doc = "* [`RequestSpans`], [`AttemptSpans`]: a span of `tracing` for each request, and in it one for each attempt."
)]
#![cfg_attr(
    feature = "status",
    doc = "* [`status`]: a page of how pools and their backends are, as HTML, as JSON, and for Prometheus."
)]
//!
//! [`Pool::status`](crate::Pool::status) and [`Pool::events`](crate::Pool::events) say the same to the
//! program itself.

mod explain;
#[cfg(feature = "metrics")]
mod metrics;
mod observer;
#[cfg(all(feature = "http", feature = "tracing"))]
mod spans;
#[cfg(feature = "status")]
pub mod status;
#[cfg(feature = "tracing")]
mod trace_attempts;

pub use self::explain::{Candidate, Explainable, Explained, ExplainedPick, PickLog};
#[cfg(feature = "http")]
pub use self::explain::{Explain, ExplainFuture, ExplainLayer};
#[cfg(feature = "metrics")]
pub use self::metrics::Metrics;
pub use self::observer::Observer;
pub(crate) use self::observer::{Both, Heard};
#[cfg(all(feature = "http", feature = "tracing"))]
pub use self::spans::{AttemptSpan, AttemptSpans, RequestSpan, RequestSpans, SpanBody, SpanFuture};
#[cfg(feature = "tracing")]
pub use self::trace_attempts::TraceAttempts;
