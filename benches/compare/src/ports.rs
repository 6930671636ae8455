//! Ports that nobody else gets.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;

use anyhow::{Context, Result};

/// Below those that the system hands out to outgoing connections, so that a backend finds its port
/// free when it is started again.
const PORTS: Range<u16> = 20_000..32_000;

/// Addresses on loopback, in turn, from a place of chance.
pub(crate) struct Ports {
    next: u16,
}

impl Ports {
    pub(crate) fn new() -> Self {
        Self {
            next: fastrand::u16(PORTS),
        }
    }

    /// The next address that is free.
    ///
    /// # Errors
    ///
    /// Where none is.
    pub(crate) fn free(&mut self) -> Result<SocketAddr> {
        for _ in PORTS {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.next));
            self.next = (self.next + 1 - PORTS.start) % (PORTS.end - PORTS.start) + PORTS.start;
            if TcpListener::bind(address).is_ok() {
                return Ok(address);
            }
        }
        let (first, end) = (PORTS.start, PORTS.end);
        None.with_context(|| format!("127.0.0.1 has no free port in {first}..{end}"))
    }

    /// So many of them.
    pub(crate) fn several(&mut self, count: usize) -> Result<Vec<SocketAddr>> {
        (0..count).map(|_| self.free()).collect()
    }
}
