//! Shows what happens to those who look after a program.
//!
//! [`TraceAttempts`] tells `tracing` of attempts at requests.

mod trace_attempts;

pub use self::trace_attempts::TraceAttempts;
