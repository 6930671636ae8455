//! The proxy: a service that sends requests on, and the server that feeds it.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use evenkeel::http::{
    BalanceLayer, HeldBody, HttpResponsesLayer, ReplayBody, ResponseBody, TrackedBody, error_of,
    recommended,
};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower::{BoxError, Layer, Service, ServiceBuilder};

use crate::headers;

/// What the proxy answers with: a backend's body, passed on as it comes, or a line of its own.
pub(crate) type ProxyBody = ResponseBody<UnsyncBoxBody<Bytes, BoxError>>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long requests that are running at ctrl-c may take to finish.
const GRACE: Duration = Duration::from_secs(10);

/// A client's body, of which what has passed is kept, so that it can be sent again.
pub(crate) type RequestBody = ReplayBody<Incoming>;

/// Puts the recommended stack around a client, and makes errors responses. What went wrong is
/// printed.
pub(crate) fn service(
    balance: &BalanceLayer<RequestBody>,
) -> impl Service<Request<Incoming>, Response = Response<ProxyBody>, Error = Infallible, Future: Send>
+ Clone
+ Send
+ 'static {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let client = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector);

    ServiceBuilder::new()
        .map_response(print_error)
        .layer(HttpResponsesLayer::new())
        .map_response(from_backend)
        .service(recommended(balance.layer(client)))
}

/// Serves connections until `stop`, then lets running requests finish.
pub(crate) async fn serve<S>(listener: TcpListener, proxy: S, stop: impl Future<Output = ()>)
where
    S: Service<Request<Incoming>, Response = Response<ProxyBody>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    let connections = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, say. Connections that end make room.
                eprintln!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // The pieces of a streamed body should leave as they come. If this fails, so will the
        // connection.
        let _ = stream.set_nodelay(true);

        let service = ServiceBuilder::new()
            .map_request(move |request| headers::to_backend(request, peer.ip()))
            .service(proxy.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        // Its error is either the client's, who went away, or was printed already.
        tokio::spawn(connections.watch(connection));
    }
    drop(listener);
    tokio::select! {
        () = connections.shutdown() => {}
        () = tokio::time::sleep(GRACE) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

fn from_backend(
    response: Response<HeldBody<TrackedBody<Incoming>>>,
) -> Response<UnsyncBoxBody<Bytes, BoxError>> {
    headers::to_client(response).map(|body| {
        let backend = body.get_ref().backend().to_owned();
        let broke_off = move |error| {
            eprintln!(
                "backend {backend} broke off its response: {}",
                Causes(&error)
            );
            BoxError::from(error)
        };
        body.map_err(broke_off).boxed_unsync()
    })
}

fn print_error(response: Response<ProxyBody>) -> Response<ProxyBody> {
    if let Some(error) = error_of(&response) {
        eprintln!("{}: {}", response.status(), Causes(error));
    }
    response
}

/// An error and what caused it, in one line.
struct Causes<'a>(&'a (dyn Error + 'static));

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}
