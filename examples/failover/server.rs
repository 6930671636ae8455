//! A backend that can be made ill: a small HTTP server on the loopback interface.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub(crate) const HEALTH: &str = "/healthz";

/// How long an answer takes.
const WORK: Duration = Duration::from_millis(10);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Condition {
    Well,
    /// Answers 500, and its health check does not know.
    Fails,
    /// Accepts connections and says nothing more, as a process that is stopped.
    Hangs,
    /// Does its work, and its health check says that it does not.
    LooksIll,
}

pub(crate) struct Server {
    address: SocketAddr,
    condition: watch::Sender<Condition>,
    running: Option<JoinHandle<()>>,
}

impl Server {
    pub(crate) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (condition, watched) = watch::channel(Condition::Well);
        Ok(Self {
            address,
            condition,
            running: Some(tokio::spawn(serve(listener, watched))),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, condition: Condition) {
        self.condition.send_replace(condition);
    }

    /// Closes its port and its connections at once, as the end of its process would.
    pub(crate) async fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            // It is an error that says so; what counts is that the port is closed now.
            let _ = running.await;
        }
    }

    /// Starts it again, where it was.
    pub(crate) async fn restart(&mut self) -> io::Result<()> {
        self.kill().await;
        self.set(Condition::Well);
        let listener = TcpListener::bind(self.address).await?;
        self.running = Some(tokio::spawn(serve(listener, self.condition.subscribe())));
        Ok(())
    }
}

async fn serve(listener: TcpListener, condition: watch::Receiver<Condition>) {
    // They end with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _peer)) = listener.accept().await {
        let condition = condition.clone();
        let answer = service_fn(move |request| answer(request, condition.clone()));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(
    request: Request<Incoming>,
    mut condition: watch::Receiver<Condition>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let hangs = |condition: &Condition| *condition == Condition::Hangs;
    // An error says that nobody will change it any more.
    let _ = condition.wait_for(|condition| !hangs(condition)).await;
    let condition = *condition.borrow();
    let status = match (condition, request.uri().path()) {
        (Condition::LooksIll, HEALTH) => StatusCode::SERVICE_UNAVAILABLE,
        (_, HEALTH) => StatusCode::OK,
        (Condition::Fails, _) => StatusCode::INTERNAL_SERVER_ERROR,
        _ => {
            tokio::time::sleep(WORK).await;
            StatusCode::OK
        }
    };
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    Ok(response)
}
