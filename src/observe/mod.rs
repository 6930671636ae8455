//! Shows what happens to those who look after a program.
//!
//! * `status` (feature `status`): a page of how pools and their backends are, as HTML, as JSON, and
//!   for Prometheus.
//! * `TraceAttempts` (feature `tracing`) tells `tracing` of attempts at requests.
//!
//! Without either, [`Pool::status`](crate::Pool::status) and [`Pool::events`](crate::Pool::events)
//! say the same to the program itself.

#[cfg(feature = "status")]
pub mod status;
#[cfg(feature = "tracing")]
mod trace_attempts;

#[cfg(feature = "tracing")]
pub use self::trace_attempts::TraceAttempts;
