//! Behind an axum router: requests that no route takes go to one of several replicas of another
//! router, in this process.
//!
//! Replicas are worth having where each has something of its own that only one request at a time
//! can use well: a database connection, a model, a device. A request counts as in flight until its
//! response body has ended, so a replica that still sends one is left alone while others are idle.
//!
//! ```text
//! cargo run --example axum_router
//! ```

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use evenkeel::{Backend, Balance, Pool};
use http_body_util::BodyExt;
use hyper::header::RETRY_AFTER;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let pool: Pool<Router> = ["one", "two", "three"]
        .map(|name| Backend::new(name, replica(name)))
        .into();

    // An axum service has to answer whatever happens, so errors become responses: with all replicas
    // drained for longer than a request may wait, 503.
    let replicas = Balance::exact_least_requests(pool.clone())
        .max_wait(Duration::ZERO)
        .into_http_responses()
        .retry_after(Duration::from_secs(5));
    let app = Router::new()
        .route("/health", get("up"))
        .fallback_service(replicas);

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let visitor = Visitor::new(listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });

    println!("A route of the outer router, then replicas:");
    for path in ["/health", "/name", "/name", "/name"] {
        visitor.get(path).await?;
    }

    println!("While two logs are being read, the other replica answers the rest:");
    let logs = [visitor.open("/log").await?, visitor.open("/log").await?];
    for backend in pool.list() {
        println!("  {backend}");
    }
    for _ in 0..3 {
        visitor.get("/name").await?;
    }
    drop(logs);

    println!("With all replicas drained:");
    for backend in pool.list() {
        pool.drain(backend.id());
    }
    visitor.get("/name").await
}

fn replica(name: &'static str) -> Router {
    // It goes on for as long as someone reads it.
    let log = async || {
        let line = |number| Ok::<_, Infallible>(format!("line {number}\n"));
        Body::from_stream(tokio_stream::iter((0u64..).map(line)))
    };
    Router::new()
        .route("/name", get(async move || format!("replica {name}")))
        .route("/log", get(log))
}

/// Someone with a browser.
struct Visitor {
    client: Client<HttpConnector, Body>,
    server: SocketAddr,
}

impl Visitor {
    fn new(server: SocketAddr) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, server }
    }

    /// Asks, and does not read the body yet.
    async fn open(&self, path: &str) -> Result<hyper::Response<hyper::body::Incoming>, BoxError> {
        let uri = format!("http://{}{path}", self.server).parse()?;
        Ok(self.client.get(uri).await?)
    }

    /// Asks, and prints the answer.
    async fn get(&self, path: &str) -> Result<(), BoxError> {
        let (head, body) = self.open(path).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        let body = String::from_utf8_lossy(&body);
        print!("  GET {path:<7} {}, {body}", head.status.as_u16());
        if let Some(after) = head.headers.get(RETRY_AFTER) {
            print!(", retry after {} s", after.to_str()?);
        }
        println!();
        Ok(())
    }
}
