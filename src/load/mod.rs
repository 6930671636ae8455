//! What backends say of their own load.
//!
//! A backend measures it with a [`LoadMeter`] and puts a [`LoadReport`] on its responses. Whoever
//! balances over it passes what it believes to its picker, which is told with
//! [`Completion::report`](crate::backend::Completion::report).
//! Over HTTP both ends are in `http::load_reports`, with the feature `load-reports`.
//!
//! ```text
//! backend:  request ─> LoadMeter::start ... Guard dropped        LoadMeter::report
//!                                                                      │ a response, or a probe's
//!                                                                      v
//! client:   picker <── Picker::observe <── Completion::report <── LoadReport
//! ```
//!
//! [`ReportedWeightedRoundRobin`](crate::picker::ReportedWeightedRoundRobin) goes by rates and
//! utilization.

mod latency;
mod meter;
#[cfg(feature = "tower")]
mod probes;
mod rate;
mod report;

pub use self::meter::{Guard, LoadMeter};
#[cfg(feature = "tower")]
pub use self::probes::LoadProbes;
pub use self::report::LoadReport;
