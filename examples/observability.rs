//! What a program can know of its requests: a span for each with its attempts, why it went where it
//! did, and metrics for Prometheus.
//!
//! Two small servers on the loopback interface, and an address at which nobody listens. It ends by
//! itself.
//!
//! ```text
//! cargo run --example observability --all-features
//! ```

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use evenkeel::Pool;
use evenkeel::http::{BalanceLayer, ReplayBody, recommended_with};
use evenkeel::observe::{AttemptSpans, ExplainLayer, Explained, Metrics, RequestSpans};
use evenkeel::picker::LeastRequests;
use evenkeel::retry::Budget;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::HeaderName;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::net::{TcpListener, TcpSocket};
use tower::{Layer, ServiceBuilder, ServiceExt};
use tracing_subscriber::fmt::format::FmtSpan;

type BoxError = Box<dyn Error + Send + Sync>;

/// Whoever knows it may ask why.
const WHY: HeaderName = HeaderName::from_static("x-explain-pick");

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // Before the first request, so that all is counted.
    let prometheus = PrometheusBuilder::new()
        .set_buckets(&[0.01, 0.1, 1.0])?
        .install_recorder()?;

    let nobody = TcpSocket::new_v4()?;
    // A bound socket that does not listen refuses connections.
    nobody.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let addresses = [nobody.local_addr()?, serve("a").await?, serve("b").await?];
    let pool = Pool::of_addresses(addresses.map(|address| address.to_string()))?;

    let budget = Budget::new();
    let metrics = Metrics::new(&pool).name("shop").budget(budget.clone());
    let client = Client::builder(TokioExecutor::new()).build_http::<ReplayBody<Empty<Bytes>>>();
    let client = AttemptSpans::new().picker("least-requests").layer(client);
    let balance = BalanceLayer::new(pool.clone(), Explained::new(LeastRequests::new()))
        .observer(metrics.clone())
        // So that a retry is among what is printed, each time.
        .seed(5)
        .layer(client);
    let service = recommended_with(balance, |retry| {
        retry.budget(budget).observer(metrics.clone())
    });
    let service = ServiceBuilder::new()
        .layer(ExplainLayer::new(WHY))
        .layer(RequestSpans::new())
        .service(service);

    let ask = async |path: &str, why: bool| -> Result<Response<()>, BoxError> {
        let mut request = Request::get(format!("http://shop.example{path}"));
        if why {
            request = request.header(WHY, "1");
        }
        let response = service.clone().oneshot(request.body(Empty::new())?).await?;
        let (head, body) = response.into_parts();
        body.collect().await?;
        Ok(Response::from_parts(head, ()))
    };

    println!("Spans, each as it closes; those of attempts are in that of their request:");
    {
        let subscriber = tracing_subscriber::fmt()
            .with_span_events(FmtSpan::CLOSE)
            .with_ansi(false)
            .with_target(false)
            .without_time()
            .with_writer(io::stdout)
            .finish();
        let _here = tracing::subscriber::set_default(subscriber);
        for path in ["/cart/1", "/cart/2"] {
            ask(path, false).await?;
        }
    }

    println!("\nWhy the next one goes where it does:");
    let response = ask("/cart/3", true).await?;
    let why = response.headers().get(WHY).ok_or("nobody says why")?;
    for (n, pick) in why.to_str()?.split("; then ").enumerate() {
        println!("  {}. {pick}", n + 1);
    }

    for n in 4..100 {
        ask(&format!("/cart/{n}"), false).await?;
    }
    // Where there is somebody to scrape: tokio::spawn(metrics.publish_every(Duration::from_secs(5))).
    metrics.publish();
    println!("\nMetrics after 99 requests, those that are not zero:");
    let text = prometheus.render();
    let lines = text.lines().filter(|line| !line.is_empty());
    for line in lines.filter(|line| !line.starts_with('#') && !line.ends_with(" 0")) {
        println!("  {line}");
    }
    Ok(())
}

/// A server that takes a moment, and says who it is.
async fn serve(name: &'static str) -> Result<SocketAddr, BoxError> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let router = Router::new().fallback(async move || {
        tokio::time::sleep(Duration::from_millis(1)).await;
        name
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}
