//! Clients that never stop asking, each over a connection of its own.

use std::error::Error;
use std::iter;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::client::within;
use super::phases::Phase;
use super::server::NAMES;

/// Between an answer and the client's next request: the servers are to be busy, the machine not.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a client waits for a whole answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// Running clients.
pub(crate) struct Load {
    /// `None` ends them.
    phase: watch::Sender<Option<Phase>>,
    clients: JoinSet<Vec<Seen>>,
}

/// A request, as its client saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) phase: Phase,
    /// When it was sent, from the beginning of the load.
    pub(crate) at: Duration,
    /// Until the last byte of the answer, or until it failed.
    pub(crate) took: Duration,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    Whole,
    Failed(String),
    /// The answer broke off after a good head.
    Cut(String),
}

impl Load {
    /// Begins in [`Phase::WarmUp`].
    pub(crate) fn begin(clients: usize, proxy: &str) -> Self {
        let (phase, phases) = watch::channel(Some(Phase::WarmUp));
        let began = Instant::now();
        let mut running = JoinSet::new();
        for _ in 0..clients {
            running.spawn(ask_on(Client::new(proxy), phases.clone(), began));
        }
        Self {
            phase,
            clients: running,
        }
    }

    /// Requests that begin from now on belong to this phase.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(Some(phase));
    }

    /// Waits until each client has ended its last request. Returns all requests, oldest first.
    pub(crate) async fn end(self) -> Vec<Seen> {
        self.phase.send_replace(None);
        let mut seen = within("the clients' end", self.clients.join_all())
            .await
            .concat();
        seen.sort_by_key(|request| request.at);
        seen
    }
}

async fn ask_on(
    mut client: Client,
    phases: watch::Receiver<Option<Phase>>,
    began: Instant,
) -> Vec<Seen> {
    // Not all at once.
    sleep(PAUSE.mul_f64(fastrand::f64())).await;
    let mut seen = Vec::new();
    loop {
        let phase = *phases.borrow();
        let Some(phase) = phase else {
            return seen;
        };
        let sent = Instant::now();
        let outcome = client.ask().await;
        seen.push(Seen {
            phase,
            at: sent - began,
            took: sent.elapsed(),
            outcome,
        });
        sleep(PAUSE).await;
    }
}

/// One connection that stays open, and is opened again when it was closed.
pub(crate) struct Client {
    proxy: String,
    connection: Option<SendRequest<Empty<Bytes>>>,
}

impl Client {
    pub(crate) fn new(proxy: &str) -> Self {
        Self {
            proxy: proxy.to_owned(),
            connection: None,
        }
    }

    /// Asks once.
    pub(crate) async fn ask(&mut self) -> Outcome {
        let asked = timeout(PATIENCE, self.exchange()).await;
        let outcome = asked.unwrap_or_else(|_| Outcome::Failed("no answer in time".to_owned()));
        if outcome != Outcome::Whole {
            self.connection = None;
        }
        outcome
    }

    async fn exchange(&mut self) -> Outcome {
        let mut connection = match self.connect().await {
            Ok(connection) => connection,
            Err(error) => return Outcome::Failed(format!("connecting: {}", chain(&*error))),
        };
        let request = Request::get("/page")
            .header("Host", &self.proxy)
            .body(Empty::new())
            .expect("a request");
        let response = match connection.send_request(request).await {
            Ok(response) => response,
            Err(error) => return Outcome::Failed(chain(&error)),
        };
        let status = response.status();
        let body = match response.into_body().collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if status == StatusCode::OK => return Outcome::Cut(chain(&error)),
            Err(error) => return Outcome::Failed(format!("{status}, {}", chain(&error))),
        };
        self.connection = Some(connection);
        if status != StatusCode::OK {
            return Outcome::Failed(status.to_string());
        }
        if !NAMES.iter().any(|name| body == name.repeat(3000)) {
            return Outcome::Failed(format!("not the page: {} bytes", body.len()));
        }
        Outcome::Whole
    }

    /// The open connection, or a new one.
    async fn connect(&mut self) -> Result<SendRequest<Empty<Bytes>>, Box<dyn Error>> {
        if let Some(mut connection) = self.connection.take()
            && connection.ready().await.is_ok()
        {
            return Ok(connection);
        }
        let stream = TcpStream::connect(&self.proxy).await?;
        stream.set_nodelay(true)?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(connection)
    }
}

/// An error and what caused it, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = iter::successors(Some(error), |&error| error.source());
    let causes: Vec<_> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}
