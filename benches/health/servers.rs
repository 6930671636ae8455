//! The servers that are probed: a process of their own, so that their processor time does not
//! count.

use std::convert::Infallible;
use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

/// The argument with which this program is the servers.
pub(crate) const FLAG: &str = "--serve";
const LISTENERS: usize = 4;

/// The process, from the other side. It ends with its standard input.
pub(crate) struct Servers {
    child: Child,
    ask: Option<ChildStdin>,
    told: BufReader<ChildStdout>,
    ports: Vec<u16>,
}

impl Servers {
    pub(crate) fn start() -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .arg(FLAG)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let told = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut servers = Self {
            ask: child.stdin.take(),
            told: BufReader::new(told),
            ports: Vec::new(),
            child,
        };
        servers.ports = servers.line()?;
        Ok(servers)
    }

    /// The ports on which they listen, at all addresses of this machine.
    pub(crate) fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// How many connections they have accepted.
    pub(crate) fn accepted(&mut self) -> io::Result<u64> {
        let mut ask = self.ask.as_ref().ok_or(io::ErrorKind::BrokenPipe)?;
        ask.write_all(b"\n")?;
        Ok(self.line()?.first().copied().unwrap_or_default())
    }

    fn line<N: std::str::FromStr>(&mut self) -> io::Result<Vec<N>> {
        let mut line = String::new();
        self.told.read_line(&mut line)?;
        Ok(line
            .split_whitespace()
            .filter_map(|number| number.parse().ok())
            .collect())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.ask.take());
        let _ = self.child.wait();
    }
}

/// Answers every request with 200 and `ok`, until the standard input ends.
pub(crate) fn serve() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let accepted = Arc::new(AtomicU64::new(0));
    let ports: Vec<String> = (0..LISTENERS)
        .map(|_| {
            let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)));
            let listener = listener.expect("a free port");
            let port = listener.local_addr().expect("it is bound").port();
            runtime.spawn(listen(listener, Arc::clone(&accepted)));
            port.to_string()
        })
        .collect();
    println!("{}", ports.join(" "));
    let (over, until) = tokio::sync::oneshot::channel();
    thread::spawn(move || {
        for _asked in io::stdin().lines() {
            println!("{}", accepted.load(Ordering::Relaxed));
        }
        let _ = over.send(());
    });
    let _ = runtime.block_on(until);
}

async fn listen(listener: TcpListener, accepted: Arc<AtomicU64>) {
    loop {
        let (stream, _) = listener.accept().await.expect("room for one more");
        accepted.fetch_add(1, Ordering::Relaxed);
        let connection = http1::Builder::new().serve_connection(
            TokioIo::new(stream),
            service_fn(async |_request: Request<Incoming>| {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
            }),
        );
        // It ends with an error when a probe only connects.
        tokio::spawn(async { drop(connection.await) });
    }
}
