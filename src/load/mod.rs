//! What backends say of their own load.

#[cfg(feature = "tower")]
mod probes;
mod report;

#[cfg(feature = "tower")]
pub use self::probes::LoadProbes;
pub use self::report::LoadReport;
