//! reqwest's client, that spreads its requests over several addresses and tries again elsewhere.
//!
//! The servers are two small ones on the loopback interface, and one that is not there.
//!
//! ```text
//! cargo run --example reqwest_client --features reqwest
//! ```

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use evenkeel::http::{Address, BalanceLayer, ReqwestClient, recommended};
use evenkeel::{Backend, Pool};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use reqwest::redirect::Policy;
use tokio::net::{TcpListener, TcpSocket};
use tower::{Layer, ServiceExt};

type BoxError = Box<dyn Error + Send + Sync>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    // A bound socket that does not listen refuses connections.
    let nobody = TcpSocket::new_v4()?;
    nobody.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;

    let pool = Pool::new();
    pool.insert(Backend::new("gone", Address::from(nobody.local_addr()?)));
    for name in ["a", "b"] {
        pool.insert(Backend::new(name, Address::from(serve(name).await?)));
    }

    // Redirects and retries are for the balance, or it would not know of them.
    let client = reqwest::Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_secs(1))
        .build()?;
    let balance = BalanceLayer::round_robin(pool.clone()).layer(ReqwestClient::new(client));
    let client = recommended(balance);

    println!("Six orders. What found no connection never left, so it can go elsewhere:");
    for number in 1..=6 {
        let body = Full::new(Bytes::from(format!("order {number}")));
        let request = hyper::Request::post("http://shop.example/orders").body(body)?;
        let response = client.clone().oneshot(request).await?;
        let tracked = response.body().get_ref();
        let attempts: Vec<_> = tracked.attempts().iter().map(ToString::to_string).collect();
        let body = response.into_body().collect().await?.to_bytes();
        print!("  {}", String::from_utf8_lossy(&body));
        if attempts.is_empty() {
            println!();
        } else {
            println!(", after {}", attempts.join(", "));
        }
    }
    for backend in pool.list() {
        println!("  {backend}");
    }
    Ok(())
}

/// Starts a server that says who it is and what it was sent.
async fn serve(name: &'static str) -> Result<SocketAddr, BoxError> {
    let app = Router::new().fallback(async move |sent: String| format!("{name} has {sent}"));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok(address)
}
