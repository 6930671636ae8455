//! What this program is when it does not measure: the processes that it starts of itself.

pub(crate) mod backend;
pub(crate) mod floor;
pub(crate) mod load;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use anyhow::Result;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

/// Runs on tokio's multi-threaded runtime, as the example does; `TOKIO_WORKER_THREADS` says how wide.
pub(crate) fn run(role: impl Future<Output = Result<()>>) -> Result<()> {
    Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(role)
}

/// The next connection. One that cannot be accepted costs only itself.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &io::Error) {
    eprintln!("cannot accept a connection: {error}");
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
}
