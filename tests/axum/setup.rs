//! A server with a balance in it, and a client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue, TE, TRAILER};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use evenkeel::backend::{Event, Handle, Observation, Outcome};
use evenkeel::http::{Address, BalanceLayer};
use evenkeel::picker::Context;
use evenkeel::{Backend, BackendSet, Balance, Picker, Pool};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_stream::StreamExt;
use tower::Layer;

/// What a replica can be asked for.
fn replica(go_on: Arc<Notify>) -> Router {
    let held = async move || {
        // The second part only when the test says so.
        let parts = tokio_stream::iter(["first", "second"]).then(move |part| {
            let go_on = Arc::clone(&go_on);
            async move {
                if part == "second" {
                    go_on.notified().await;
                }
                Ok::<_, Infallible>(part)
            }
        });
        Body::from_stream(parts)
    };
    let chunks = async || {
        let chunks = ["one, ", "two, ", "three"].map(Ok::<_, Infallible>);
        Body::from_stream(tokio_stream::iter(chunks))
    };
    let trailers = async || {
        let mut trailers = HeaderMap::new();
        trailers.insert("checksum", HeaderValue::from_static("42"));
        let frames = [
            Frame::data(Bytes::from_static(b"data")),
            Frame::trailers(trailers),
        ];
        let frames = tokio_stream::iter(frames.map(Ok::<_, Infallible>));
        ([(TRAILER, "checksum")], Body::new(StreamBody::new(frames))).into_response()
    };
    let sized = async || {
        let parts = ["one, ", "two"].map(Ok::<_, Infallible>);
        let body = Body::from_stream(tokio_stream::iter(parts));
        ([(CONTENT_LENGTH, "8")], body).into_response()
    };
    Router::new()
        .route("/text", get(async || "text"))
        .route("/sized", get(sized))
        .route("/nothing", get(async || StatusCode::NO_CONTENT))
        .route("/chunks", get(chunks))
        .route("/trailers", get(trailers))
        .route("/held", get(held))
}

/// A server whose fallback is a balance over one backend, "a", and a client to ask it with.
pub(crate) struct Setup<T> {
    pub(crate) pool: Pool<T>,
    outcomes: Outcomes,
    pub(crate) go_on: Arc<Notify>,
    client: Client<HttpConnector, Body>,
    server: SocketAddr,
}

/// The replica is a service in the server's process.
pub(crate) async fn in_process() -> Setup<Router> {
    let (outcomes, go_on) = (Outcomes::default(), Arc::default());
    let pool = Pool::from([Backend::new("a", replica(Arc::clone(&go_on)))]);
    let balance = Balance::new(pool.clone(), outcomes.clone());
    let app = Router::new().fallback_service(balance.into_http_responses());
    Setup {
        pool,
        outcomes,
        go_on,
        client: http_client(),
        server: serve(app).await,
    }
}

/// The replica is another server, asked over a connection.
pub(crate) async fn proxied() -> Setup<Address> {
    let (outcomes, go_on) = (Outcomes::default(), Arc::default());
    let address = serve(replica(Arc::clone(&go_on))).await;
    let pool = Pool::from([Backend::new("a", Address::from(address))]);
    let layer = BalanceLayer::new(pool.clone(), outcomes.clone());
    let app = Router::new().fallback_service(layer.layer(http_client()).into_http_responses());
    Setup {
        pool,
        outcomes,
        go_on,
        client: http_client(),
        server: serve(app).await,
    }
}

pub(crate) fn http_client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

impl<T: Clone> Setup<T> {
    pub(crate) async fn get(&self, path: &str) -> Response<Incoming> {
        self.request(Method::GET, path).await
    }

    pub(crate) async fn request(&self, method: Method, path: &str) -> Response<Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.server))
            // Without it a server keeps trailers to itself.
            .header(TE, "trailers")
            .body(Body::empty())
            .expect("a request");
        self.client.request(request).await.expect("a response")
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.pool.get("a").expect("a member").in_flight()
    }

    /// Waits until nothing is in flight, which the server may notice a little later than the
    /// client, and returns how requests have ended.
    pub(crate) async fn outcomes_when_idle(&self) -> Vec<Outcome> {
        for _ in 0..1000 {
            if self.in_flight() == 0 {
                return self.outcomes.0.lock().unwrap().clone();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("still in flight: {}", self.in_flight());
    }
}

/// Picks the first backend, and takes down how requests end.
#[derive(Clone, Default)]
pub(crate) struct Outcomes(Arc<Mutex<Vec<Outcome>>>);

impl<Req> Picker<Req> for Outcomes {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, _cx: &mut Context) -> Option<usize> {
        (!set.is_empty()).then_some(0)
    }

    fn observe(&self, _backend: Handle, observation: &Observation) {
        if let Event::Ended { outcome, .. } = observation.event() {
            self.0.lock().unwrap().push(outcome);
        }
    }
}
