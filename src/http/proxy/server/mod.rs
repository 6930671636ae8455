//! Accepts connections, and takes care that no client can hold one for nothing.

mod from_peer;
mod io;
mod preface;
mod taken;

use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::BoxError;
use tower_service::Service;

use self::from_peer::FromPeer;
use self::io::Bounded;
use self::preface::{Spoken, spoken};
use self::taken::Untaken;
use crate::InvalidSetting;
use crate::http::key::PeerAddress;
use crate::time::CENTURY;

/// Serves HTTP/1.1 and HTTP/2 on a TCP socket: hyper's server, with limits.
///
/// Which of the two a client speaks shows in its first bytes. Each request has the client's
/// [`PeerAddress`] in its extensions. Connections can be upgraded.
///
/// Any tower service of requests that has no errors will do: a [`Proxy`](super::Proxy), an axum
/// router in front of one. It is cloned for each connection.
///
/// # What bounds a client
///
/// * The head of a request has to come [in time](Self::head_timeout), and
///   [so large](Self::max_head_bytes) at most: 431 otherwise. So has the next request on a
///   connection that is kept.
/// * What is sent to it has to be [taken in time](Self::write_timeout).
/// * Its request's body: see [`Proxy::body_idle_timeout`](super::Proxy::body_idle_timeout).
/// * How many connections there are: [`max_connections`](Self::max_connections).
///
/// A client that closes its sending half after a request, as some scripts do, has gone away as far as
/// this is concerned, and gets no answer: otherwise nobody would notice those who have.
///
/// # Examples
///
/// See [`Proxy`](super::Proxy).
#[derive(Clone, Debug)]
#[must_use]
pub struct Server {
    head_timeout: Duration,
    write_timeout: Duration,
    max_head: usize,
    max_connections: usize,
    grace: Duration,
}

/// How long to leave it alone when the system has no more to give, such as files.
const AFTER_A_FAILED_ACCEPT: Duration = Duration::from_millis(100);

impl Server {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            head_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(60),
            max_head: 32 * 1024,
            max_connections: Semaphore::MAX_PERMITS,
            grace: Duration::from_secs(30),
        }
    }

    /// Sets how long the head of a request may take, which is also how long a connection is kept
    /// between two requests. Default 30 s. Over HTTP/2, a connection whose client does not answer a
    /// ping, sent after as long a silence, is closed.
    pub fn head_timeout(mut self, timeout: Duration) -> Self {
        self.head_timeout = timeout.min(CENTURY);
        self
    }

    /// Sets how long a client may take nothing of what is sent to it. Default 60 s. Over HTTP/2 that
    /// goes for each response, by pieces as they come from the backend, and then the connection is
    /// closed.
    pub fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout.min(CENTURY);
        self
    }

    /// Sets how many bytes the head of a request may have. Default 32 KiB. There may be 100 headers
    /// over HTTP/1.1. A request with more is answered with 431.
    ///
    /// # Errors
    ///
    /// Less than 8,192, or more than 1 MiB: no map holds as many headers as fit into more.
    pub fn max_head_bytes(mut self, bytes: usize) -> Result<Self, InvalidSetting> {
        if !(8192..=1 << 20).contains(&bytes) {
            let expected = "8192 to 1048576 bytes";
            return Err(InvalidSetting::new(
                "size of a request head",
                bytes,
                expected,
            ));
        }
        self.max_head = bytes;
        Ok(self)
    }

    /// Sets how many connections there may be; further ones wait to be accepted. Default: no limit.
    ///
    /// # Errors
    ///
    /// 0, or more than tokio's semaphores can count.
    pub fn max_connections(mut self, connections: usize) -> Result<Self, InvalidSetting> {
        if !(1..=Semaphore::MAX_PERMITS).contains(&connections) {
            let expected = "at least 1, and no more than a semaphore can count";
            return Err(InvalidSetting::new(
                "number of connections",
                connections,
                expected,
            ));
        }
        self.max_connections = connections;
        Ok(self)
    }

    /// Sets how long requests and upgraded connections that are running may take to end when the
    /// server stops. Default 30 s. Those that are left then go on for as long as the runtime does.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Serves connections until `stop` is ready. Then no more are accepted, those that wait for a
    /// request are closed, and requests that are running finish, in HTTP/1.1 with `Connection: close`;
    /// returns when the last has, or the [grace](Self::grace) is over.
    ///
    /// # Cancel safety
    ///
    /// When it is dropped, no more connections are accepted. Those that there are go on.
    pub async fn serve<S, RB>(
        &self,
        listener: TcpListener,
        service: S,
        stop: impl Future<Output = ()>,
    ) where
        S: Service<Request<Incoming>, Response = Response<RB>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
        RB: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let (stopping, watching) = watch::channel(());
        let free = Arc::new(Semaphore::new(self.max_connections));
        let accept = async {
            loop {
                let permit = Arc::clone(&free).acquire_owned().await;
                match listener.accept().await {
                    Ok((stream, _peer)) => {
                        let (service, watching) = (service.clone(), watching.clone());
                        let connection = self.clone().connection(stream, service, watching);
                        tokio::spawn(async move {
                            connection.await;
                            drop(permit);
                        });
                    }
                    // Connections that end make room.
                    Err(_) => tokio::time::sleep(AFTER_A_FAILED_ACCEPT).await,
                }
            }
        };
        select(pin!(accept), pin!(stop)).await;
        drop((listener, watching));
        stopping.send_replace(());
        // Each connection keeps a receiver, even one that has been upgraded.
        let _ = tokio::time::timeout(self.grace, stopping.closed()).await;
    }

    async fn connection<S, RB>(
        self,
        mut stream: TcpStream,
        service: S,
        mut watching: watch::Receiver<()>,
    ) where
        S: Service<Request<Incoming>, Response = Response<RB>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send,
        RB: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let Ok(peer) = stream.peer_addr() else {
            return;
        };
        // The pieces of a streamed body should leave as they come. If this fails, so will the
        // connection.
        let _ = stream.set_nodelay(true);
        let first = tokio::time::timeout(self.head_timeout, spoken(&mut stream));
        let first = unless_stopped(first, &mut watching).await;
        let Some(Ok(Ok((spoken, first)))) = first else {
            return;
        };
        let mut service = FromPeer::new(service, PeerAddress(peer.ip()));
        let io = TokioIo::new(Bounded::new(
            stream,
            first,
            self.write_timeout,
            watching.clone(),
        ));
        // Errors are the client's, who went away or made no sense and was told so.
        match spoken {
            Spoken::Http1 => {
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(self.head_timeout)
                    .max_header_size(self.max_head)
                    .serve_connection(io, service)
                    .with_upgrades();
                let stop = http1::UpgradeableConnection::graceful_shutdown;
                let _ = until_stopped(Box::pin(connection), stop, watching).await;
            }
            Spoken::Http2 => {
                let untaken = Arc::new(Untaken::new());
                service.watch(&untaken);
                let connection = http2::Builder::new(TokioExecutor::new())
                    .timer(TokioTimer::new())
                    .keep_alive_interval(self.head_timeout)
                    .max_header_list_size(u32::try_from(self.max_head).unwrap_or(u32::MAX))
                    .serve_connection(io, service);
                let stop = http2::Connection::graceful_shutdown;
                let connection = until_stopped(Box::pin(connection), stop, watching);
                // Whichever is first: the other is dropped, and with it the connection.
                select(
                    pin!(connection),
                    pin!(untaken.for_too_long(self.write_timeout)),
                )
                .await;
            }
        }
    }
}

/// Waits for something, as long as the server does not stop.
async fn unless_stopped<F: Future>(
    future: F,
    watching: &mut watch::Receiver<()>,
) -> Option<F::Output> {
    match select(pin!(future), pin!(watching.changed())).await {
        Either::Left((ready, _)) => Some(ready),
        Either::Right(_) => None,
    }
}

/// Drives a connection, and tells it when the server stops.
///
/// It is boxed: those of both versions are large, and a task would have room for the larger.
async fn until_stopped<C: Future>(
    mut connection: Pin<Box<C>>,
    stop: fn(Pin<&mut C>),
    mut watching: watch::Receiver<()>,
) -> C::Output {
    let stopped = pin!(watching.changed());
    if let Either::Left((ended, _)) = select(connection.as_mut(), stopped).await {
        return ended;
    }
    stop(connection.as_mut());
    connection.await
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}
