//! The example `reverse_proxy` as a process: its file, its signals, TLS to backends, its status page.

#![cfg(all(unix, feature = "http"))]

mod backend;
#[allow(dead_code, reason = "each test uses its own part")]
#[path = "../tornado/example.rs"]
mod example;
mod reload;
mod status;
mod stop;
mod tls;

/// What the example's module asks of its surroundings.
mod client {
    use std::future::Future;
    use std::time::Duration;

    /// Waits for something that comes soon.
    pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
        let soon = tokio::time::timeout(Duration::from_secs(30), future).await;
        soon.unwrap_or_else(|_| panic!("{what} did not come"))
    }
}
