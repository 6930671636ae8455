//! The clients alone.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::Result;
use tokio::runtime::Builder;

use crate::load::{closed, failed};

/// Asks a proxy so many times and says how that went.
pub(crate) fn ask(proxy: SocketAddr, clients: usize, requests: usize) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let begun = Instant::now();
    let seen = runtime.block_on(closed::ask(proxy, clients, requests));
    let lasted = begun.elapsed();
    println!(
        "{} requests, {} failed, {lasted:?}",
        seen.len(),
        failed(&seen)
    );
    Ok(())
}
