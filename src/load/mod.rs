//! What backends say of their own load.

mod report;

pub use self::report::LoadReport;
