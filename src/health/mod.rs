//! Whether backends are well: probes that ask them.

mod probe;

#[cfg(feature = "http")]
pub use self::probe::HttpProbe;
pub use self::probe::{Answer, Probe, Target, TcpProbe};
