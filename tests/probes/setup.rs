//! Servers and clients for probes, and what a probe says.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::error::Error;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use evenkeel::health::{Answer, Probe, Target};
use evenkeel::http::Address;
use http_body_util::{Empty, Full};
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::server::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, service_fn};

/// What a body yields: exactly these frames, and then its end.
pub(crate) struct Frames {
    pub(crate) frames: VecDeque<io::Result<Frame<Bytes>>>,
    pub(crate) endless: bool,
}

/// Requests that a server got, without their bodies.
pub(crate) type Seen = Arc<Mutex<Vec<Request<()>>>>;

/// A service that always responds, to requests with bodies of a type.
pub(crate) type Service<B> = BoxCloneSyncService<Request<B>, Response<Frames>, Infallible>;

/// hyper-util's client, for requests with bodies of a type.
pub(crate) type HttpClient<B> = Client<HttpConnector, B>;

/// What a probe said: its answer, or the reason with its causes.
pub(crate) async fn ask<T>(probe: &impl Probe<T>, value: T) -> Result<Answer, String> {
    let answer = probe.probe(Target::new("a", value)).await;
    answer.map_err(|error| told(&*error))
}

fn told(error: &(dyn Error + 'static)) -> String {
    match error.source() {
        Some(cause) => format!("{error}: {}", told(cause)),
        None => error.to_string(),
    }
}

pub(crate) const HEALTHY: Result<Answer, String> = Ok(Answer::Healthy);

pub(crate) fn unhealthy(reason: &str) -> Result<Answer, String> {
    Err(reason.to_owned())
}

pub(crate) fn http1_client() -> HttpClient<Empty<Bytes>> {
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) fn http2_client<B>() -> HttpClient<B>
where
    B: Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

/// A server of HTTP/1.1 that answers all requests with a function.
pub(crate) async fn http1_server<F>(answer: F) -> (Address, Seen)
where
    F: Fn(&Request<()>) -> Response<Frames> + Clone + Send + Sync + 'static,
{
    let (listener, address) = listen().await;
    let (service, seen) = recording(answer);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let connection = http1::Builder::new();
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    (address.into(), seen)
}

/// A server of HTTP/2 that answers all requests with a function.
pub(crate) async fn http2_server<F>(answer: F) -> (Address, Seen)
where
    F: Fn(&Request<()>) -> Response<Frames> + Clone + Send + Sync + 'static,
{
    let (service, seen) = recording(answer);
    (http2_service(service).await, seen)
}

/// A server of HTTP/2 with a service.
pub(crate) async fn http2_service<S, B>(service: S) -> Address
where
    S: tower::Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    B: Body<Data: Send, Error: Into<BoxError>> + Send + 'static,
{
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(service.clone());
            let connection = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    address.into()
}

fn recording<F>(answer: F) -> (Service<Incoming>, Seen)
where
    F: Fn(&Request<()>) -> Response<Frames> + Clone + Send + Sync + 'static,
{
    let seen = Seen::default();
    let records = Arc::clone(&seen);
    let service = service_fn(move |request: Request<Incoming>| {
        let request = request.map(drop);
        let response = answer(&request);
        records.lock().unwrap().push(request);
        ready(Ok(response))
    });
    (BoxCloneSyncService::new(service), seen)
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// A socket that refuses connections for as long as it is kept: it is bound, but does not listen.
pub(crate) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket
        .bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .expect("a port");
    let address = socket.local_addr().expect("its address");
    (socket, address)
}

impl Frames {
    pub(crate) fn none() -> Self {
        Self::data(&[])
    }

    /// A frame for each part.
    pub(crate) fn data(parts: &[&'static str]) -> Self {
        let frame = |part: &&'static str| Ok(Frame::data(Bytes::from_static(part.as_bytes())));
        Self {
            frames: parts.iter().map(frame).collect(),
            endless: false,
        }
    }

    pub(crate) fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self {
            frames: [Ok(Frame::data(bytes.into()))].into(),
            endless: false,
        }
    }

    pub(crate) fn and_trailers(mut self, trailers: HeaderMap) -> Self {
        self.frames.push_back(Ok(Frame::trailers(trailers)));
        self
    }

    pub(crate) fn and_breaks_off(mut self) -> Self {
        self.frames.push_back(Err(io::Error::other("unplugged")));
        self
    }

    /// Never ends.
    pub(crate) fn and_hangs(self) -> Self {
        Self {
            endless: true,
            ..self
        }
    }
}

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.frames.pop_front() {
            None if self.endless => Poll::Pending,
            frame => Poll::Ready(frame),
        }
    }
}

/// A client that needs no server: it has a response for every request.
pub(crate) fn answering<F>(answer: F) -> Service<Full<Bytes>>
where
    F: Fn() -> Response<Frames> + Clone + Send + Sync + 'static,
{
    BoxCloneSyncService::new(service_fn(move |_request| ready(Ok(answer()))))
}

/// Where [`answering`] answers.
pub(crate) fn anywhere() -> Address {
    SocketAddr::from(([10, 0, 0, 1], 80)).into()
}
