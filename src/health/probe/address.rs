use super::TcpProbe;
use crate::http::Address;

impl TcpProbe<fn(&Address) -> String> {
    /// Connects to an [`Address`]: to its host and port, which is 80 by default, or 443 for
    /// `https`. TLS is not spoken.
    pub fn new() -> Self {
        Self::to(Address::host_and_port)
    }
}

impl Default for TcpProbe<fn(&Address) -> String> {
    fn default() -> Self {
        Self::new()
    }
}
