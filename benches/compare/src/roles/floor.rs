//! The floor: what a proxy on hyper costs that does nothing of what a load balancer does.
//!
//! hyper's server in front, hyper-util's client behind, backends in turn, bodies as they come, the
//! headers of one connection removed and `X-Forwarded-For` added, as any proxy has to. No health, no
//! retries, no counting. Time-outs are off, unless it is told to have those that the example
//! `reverse_proxy` has: hyper's on a request's head, the pool's, and one for connecting.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use http_body_util::{Either, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::uri::{Authority, PathAndQuery, Scheme};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri, Version};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpListener;

use super::accept;

type Answer = Response<Either<Incoming, Empty<Bytes>>>;

struct Floor {
    client: Client<HttpConnector, Incoming>,
    backends: Vec<Authority>,
    turn: AtomicUsize,
}

const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Listens on an address and never returns.
pub(crate) async fn serve(
    listen: SocketAddr,
    backends: &[SocketAddr],
    timeouts: bool,
) -> Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let mut client = Client::builder(TokioExecutor::new());
    let mut server = http1::Builder::new();
    if timeouts {
        connector.set_connect_timeout(Some(Duration::from_secs(5)));
        client.pool_timer(TokioTimer::new());
        server.timer(TokioTimer::new());
    }
    let backends = backends.iter().map(|address| address.to_string().parse());
    let floor = Arc::new(Floor {
        client: client.build(connector),
        backends: backends.collect::<Result<_, _>>()?,
        turn: AtomicUsize::new(0),
    });
    loop {
        let (stream, peer) = accept(&listener).await;
        let _ = stream.set_nodelay(true);
        let floor = Arc::clone(&floor);
        let service = service_fn(move |request| {
            let floor = Arc::clone(&floor);
            async move { Ok::<_, Infallible>(floor.answer(request, peer.ip()).await) }
        });
        tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
    }
}

impl Floor {
    async fn answer(&self, mut request: Request<Incoming>, peer: IpAddr) -> Answer {
        *request.uri_mut() = self.at_backend(request.uri());
        *request.version_mut() = Version::HTTP_11;
        remove_hop_by_hop(request.headers_mut());
        forwarded_for(request.headers_mut(), peer);
        match self.client.request(request).await {
            Ok(mut response) => {
                *response.version_mut() = Version::HTTP_11;
                remove_hop_by_hop(response.headers_mut());
                response.map(Either::Left)
            }
            Err(error) => {
                eprintln!("{error}");
                let mut response = Response::new(Either::Right(Empty::new()));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            }
        }
    }

    fn at_backend(&self, uri: &Uri) -> Uri {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let path = uri.path_and_query();
        let mut parts = hyper::http::uri::Parts::default();
        parts.scheme = Some(Scheme::HTTP);
        parts.authority = Some(self.backends[turn % self.backends.len()].clone());
        parts.path_and_query = path.cloned().or(Some(PathAndQuery::from_static("/")));
        Uri::from_parts(parts).expect("all three parts are there")
    }
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn forwarded_for(headers: &mut HeaderMap, peer: IpAddr) {
    let said = headers.get_all(X_FORWARDED_FOR);
    let mut all = Vec::new();
    for value in said {
        all.extend_from_slice(value.as_bytes());
        all.extend_from_slice(b", ");
    }
    all.extend_from_slice(peer.to_canonical().to_string().as_bytes());
    let all = HeaderValue::from_bytes(&all).expect("made of header values");
    headers.insert(X_FORWARDED_FOR, all);
}
