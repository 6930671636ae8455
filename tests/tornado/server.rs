//! Tornado servers, each a process of its own.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::client::{get, within};
use super::venv;

/// A running Tornado server. It is killed when this is dropped.
pub(crate) struct Server {
    /// Its `127.0.0.1:PORT`.
    pub(crate) address: String,
    child: Child,
}

/// What the servers that [`three`] starts call themselves.
pub(crate) const NAMES: [&str; 3] = ["a", "b", "c"];

/// How many seconds the slow server takes: far more than the others, on a machine that is busy with
/// more than these tests, too.
pub(crate) const SLOW: f64 = 0.5;

/// Starts a, b and c, of which c takes so many seconds for an answer. `None` where there is no
/// Tornado; that was said already.
pub(crate) async fn three(seconds_of_c: f64) -> Option<[Server; 3]> {
    let [a, b, c] = NAMES;
    Some([
        Server::start(a, 0.0).await?,
        Server::start(b, 0.0).await?,
        Server::start(c, seconds_of_c).await?,
    ])
}

impl Server {
    pub(crate) async fn start(name: &str, seconds: f64) -> Option<Self> {
        let mut child = Command::new(venv::python()?)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/tornado/server.py"
            ))
            .args([name, &seconds.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("Python starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let port = within("the server's port", lines.next_line()).await;
        let port = port.expect("readable").expect("the server started");
        Some(Self {
            address: format!("127.0.0.1:{port}"),
            child,
        })
    }

    /// Ends the streams that it holds.
    pub(crate) async fn release(&self) {
        get(&format!("http://{}/release", self.address)).await;
    }

    /// Kills it. When this returns, its port refuses connections.
    pub(crate) async fn stop(&mut self) {
        self.child.kill().await.expect("it can be killed");
    }
}
