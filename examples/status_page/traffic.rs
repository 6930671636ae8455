use std::time::Duration;

use axum::body::Body;
use evenkeel::Pool;
use evenkeel::http::{Address, BalanceLayer, ReplayBody, recommended};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::time::sleep;
use tower::{Layer, ServiceExt};

pub(crate) type HttpClient = Client<HttpConnector, Body>;

/// Twenty callers who ask the backends all the time, until the program ends. Returns a client to
/// ask others with.
pub(crate) fn begin(pool: &Pool<Address>) -> HttpClient {
    let client: Client<_, ReplayBody<Empty<Bytes>>> =
        Client::builder(TokioExecutor::new()).build_http();
    let service = recommended(BalanceLayer::least_requests(pool.clone()).layer(client));
    for _ in 0..20 {
        let service = service.clone();
        tokio::spawn(async move {
            loop {
                let request = Request::get("http://colours.example/").body(Empty::new());
                if let Ok(request) = request
                    && let Ok(response) = service.clone().oneshot(request).await
                {
                    let _ = response.into_body().collect().await;
                }
                sleep(Duration::from_secs_f64(0.1 * fastrand::f64())).await;
            }
        });
    }
    Client::builder(TokioExecutor::new()).build_http()
}
