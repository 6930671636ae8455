//! Whether backends are well: probes that ask them.

mod probe;

pub use self::probe::{Answer, Probe, Target, TcpProbe};
#[cfg(feature = "http")]
pub use self::probe::{GrpcProbe, HttpProbe};
