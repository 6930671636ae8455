//! Tornado servers, each a process of its own.

use std::io;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};

use super::client::{get, within};
use super::venv;

/// A running Tornado server. It is killed when this is dropped.
pub(crate) struct Server {
    /// Its `127.0.0.1:PORT`.
    pub(crate) address: String,
    child: Child,
    name: &'static str,
    seconds: f64,
    /// Its port, while it is stopped.
    held: Option<TcpSocket>,
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
    pub(crate) async fn start(name: &'static str, seconds: f64) -> Option<Self> {
        Self::start_on(0, name, seconds).await
    }

    async fn start_on(port: u16, name: &'static str, seconds: f64) -> Option<Self> {
        let mut child = Command::new(venv::python()?)
            .arg(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/tests/tornado/server.py"
            ))
            .args([name, &seconds.to_string(), &port.to_string()])
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
            name,
            seconds,
            held: None,
        })
    }

    /// Ends the streams that it holds.
    pub(crate) async fn release(&self) {
        get(&format!("http://{}/release", self.address)).await;
    }

    /// Kills it. When this returns, its port refuses connections.
    pub(crate) async fn stop(&mut self) {
        self.child.kill().await.expect("it can be killed");
        self.held = hold(&self.address).ok();
    }

    /// Starts it again, on the port that it had.
    pub(crate) async fn restart(&mut self) {
        self.held = None;
        let (_, port) = self.address.rsplit_once(':').expect("there is a port");
        let port = port.parse().expect("a number");
        let again = Self::start_on(port, self.name, self.seconds).await;
        *self = again.expect("Python was there");
    }

    /// Stops its process for a while: the system goes on accepting connections for it, and nobody
    /// answers.
    #[cfg(unix)]
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    #[cfg(unix)]
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    #[cfg(unix)]
    fn signal(&self, signal: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let mut kill = std::process::Command::new("kill");
        let sent = kill.args([signal, &pid]).status().expect("kill starts");
        assert!(sent.success(), "{signal} to {}", self.name);
    }
}

/// Sees to it that nobody else gets the port. A bound socket that does not listen refuses
/// connections.
fn hold(address: &str) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Its connections linger.
    socket.set_reuseaddr(true)?;
    socket.bind(address.parse().map_err(io::Error::other)?)?;
    Ok(socket)
}
