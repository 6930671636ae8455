//! An outbound HTTP client, hyper-util's, that spreads its requests over several addresses.
//!
//! Backends are addresses; the one client keeps the connections to all of them. The servers are
//! three small ones on the loopback interface. One is drained on the way, and one is not there.
//!
//! ```text
//! cargo run --example outbound_client
//! ```

use std::error::Error;
use std::net::SocketAddr;

use axum::Router;
use axum::extract::Request;
use evenkeel::http::{Address, BalanceLayer};
use evenkeel::{Backend, Pool};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::{TcpListener, TcpSocket};
use tower::{Layer, ServiceExt};

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let pool = Pool::new();
    for name in ["a", "b", "c"] {
        pool.insert(Backend::new(name, Address::from(serve(name).await?)));
    }

    let client = Client::builder(TokioExecutor::new()).build_http();
    let client = BalanceLayer::round_robin(pool.clone()).layer(client);

    // The URI names the service. Its host goes into the Host header, the connection to a backend.
    let ask = async |path: &str| -> Result<(), BoxError> {
        let uri = format!("http://shop.example{path}");
        let request = hyper::Request::get(&uri).body(Empty::<Bytes>::new())?;
        let response = client.clone().oneshot(request).await?;
        let body = response.into_body().collect().await?.to_bytes();
        println!("  {uri}: {}", String::from_utf8_lossy(&body));
        Ok(())
    };

    println!("Three backends, in turn:");
    for path in ["/cart/1", "/cart/2", "/cart/3"] {
        ask(path).await?;
    }

    println!("With b drained:");
    pool.drain("b");
    for path in ["/cart/4", "/cart/5", "/cart/6"] {
        ask(path).await?;
    }

    // A bound socket that does not listen refuses connections.
    let nobody = TcpSocket::new_v4()?;
    nobody.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    pool.replace_all([Backend::new("gone", Address::from(nobody.local_addr()?))]);
    println!("With one that is not there:");
    let error = ask("/cart/7").await.expect_err("nobody listens");
    let mut next: Option<&dyn Error> = Some(&*error);
    while let Some(error) = next {
        println!("  {error}");
        next = error.source();
    }
    Ok(())
}

/// Starts a server that says who it is and what it was asked for.
async fn serve(name: &'static str) -> Result<SocketAddr, BoxError> {
    let app = Router::new().fallback(async move |request: Request| {
        let host = request
            .headers()
            .get(HOST)
            .and_then(|host| host.to_str().ok());
        format!(
            "{name} was asked for {} of {}",
            request.uri().path(),
            host.unwrap_or("nobody")
        )
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
