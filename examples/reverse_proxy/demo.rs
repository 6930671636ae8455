//! The demonstration: three backends, the proxy in front of them, and clients that never rest.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use evenkeel::http::proxy::{Client, Server};
use evenkeel::http::{Address, BalanceLayer, error_of, recommended};
use evenkeel::picker::{Algorithm, RoundRobin};
use evenkeel::{Backend, Pool};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Response, Uri};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::{Layer, ServiceBuilder};

use crate::proxy::{Body, proxy};
use crate::table::{Run, Sample, Table};

/// A backend of the demonstration.
pub(crate) struct Member {
    pub(crate) name: &'static str,
    pub(crate) takes: Duration,
    pub(crate) weight: u32,
}

/// `slow` is no smaller than `fast-2`: that it is slow shows only in how it answers.
pub(crate) const MEMBERS: [Member; 3] = [
    Member {
        name: "fast-1",
        takes: Duration::from_millis(5),
        weight: 2,
    },
    Member {
        name: "fast-2",
        takes: Duration::from_millis(5),
        weight: 1,
    },
    Member {
        name: "slow",
        takes: Duration::from_millis(40),
        weight: 1,
    },
];

/// Clients that send their next request as soon as they have the answer to the last.
pub(crate) const CLIENTS: usize = 16;

/// For all algorithms together.
const DURATION: Duration = Duration::from_secs(12);

const X_BACKEND: HeaderName = HeaderName::from_static("x-backend");

type HttpClient = legacy::Client<HttpConnector, Empty<Bytes>>;

/// Runs it and prints what it shows.
pub(crate) async fn run() -> io::Result<()> {
    let pool = Pool::new();
    for member in &MEMBERS {
        let listener = listen().await?;
        let address = Address::from(listener.local_addr()?);
        pool.insert(Backend::new(member.name, address).weight(member.weight));
        tokio::spawn(backend(listener, member));
    }

    // One proxy throughout: the picker is replaced while it runs.
    let balance = BalanceLayer::new(pool, RoundRobin::new());
    let listener = listen().await?;
    let address = listener.local_addr()?;
    let service = ServiceBuilder::new()
        .map_response(name_failed_backend)
        .service(proxy(recommended(balance.layer(Client::new()))));
    tokio::spawn(async { Server::new().serve(listener, service, pending()).await });

    let mut table = Table::begin(address)?;
    let duration = DURATION / Algorithm::ALL.len() as u32;
    for &algorithm in Algorithm::ALL {
        balance.set_picker(algorithm.picker());
        let samples = traffic(address, duration).await;
        table.add(Run::new(algorithm, duration, &samples))?;
    }
    table.end()
}

async fn listen() -> io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await
}

async fn backend(listener: TcpListener, member: &'static Member) {
    let answer = move |_request| async move {
        tokio::time::sleep(member.takes).await;
        let mut response = Response::new(Full::new(Bytes::from_static(b"hello\n")));
        let name = HeaderValue::from_static(member.name);
        response.headers_mut().insert(X_BACKEND, name);
        Ok::<_, Infallible>(response)
    };
    while let Ok((stream, _peer)) = listener.accept().await {
        let stream = TokioIo::new(stream);
        tokio::spawn(http1::Builder::new().serve_connection(stream, service_fn(answer)));
    }
}

/// Tells the clients of the demonstration which backend a 502 is about. Others are not told.
fn name_failed_backend(mut response: Response<Body>) -> Response<Body> {
    let failed = error_of(&response)
        .and_then(|error| error.downcast_ref::<evenkeel::Error>())
        .and_then(evenkeel::Error::backend)
        .and_then(|name| HeaderValue::from_str(name).ok());
    if let Some(name) = failed {
        response.headers_mut().insert(X_BACKEND, name);
    }
    response
}

async fn traffic(proxy: SocketAddr, duration: Duration) -> Vec<Sample> {
    let client = legacy::Client::builder(TokioExecutor::new()).build_http();
    let uri: Uri = format!("http://{proxy}/")
        .parse()
        .expect("a socket address makes a URI");
    let end = Instant::now() + duration;

    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let (client, uri) = (client.clone(), uri.clone());
        clients.spawn(async move {
            let mut samples = Vec::new();
            while Instant::now() < end {
                samples.push(sample(&client, &uri).await);
            }
            samples
        });
    }
    clients.join_all().await.concat()
}

async fn sample(client: &HttpClient, uri: &Uri) -> Sample {
    let start = Instant::now();
    let response = client.get(uri.clone()).await.ok();
    let backend = response.as_ref().and_then(backend_of);
    let answered = match response {
        Some(response) => {
            let good = response.status().is_success();
            good && response.into_body().collect().await.is_ok()
        }
        None => false,
    };
    Sample {
        backend,
        latency: start.elapsed(),
        failed: !answered,
    }
}

/// Which of [`MEMBERS`] a response is from.
fn backend_of(response: &Response<Incoming>) -> Option<usize> {
    let name = response.headers().get(X_BACKEND)?;
    MEMBERS.iter().position(|member| name == member.name)
}
