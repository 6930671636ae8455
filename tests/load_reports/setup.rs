//! Servers, clients, and a picker that takes down what it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::uri::Uri;
use evenkeel::backend::{Event, Handle, Observation};
use evenkeel::http::load_reports::HEADER;
use evenkeel::http::{Address, BalanceLayer};
use evenkeel::load::LoadReport;
use evenkeel::picker::Context;
use evenkeel::{Backend, BackendSet, Picker, Pool};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;

pub(crate) type HttpClient = Client<HttpConnector, Body>;

pub(crate) fn http_client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

pub(crate) fn pool(servers: &[(&str, SocketAddr)]) -> Pool<Address> {
    let backend = |&(id, server): &(&str, SocketAddr)| Backend::new(id, Address::from(server));
    servers.iter().map(backend).collect()
}

/// A server that reports just what it is asked to, as it stands.
pub(crate) async fn parrot() -> SocketAddr {
    let app = Router::new().fallback(async |headers: HeaderMap| {
        let mut answer = HeaderMap::new();
        if let Some(report) = headers.get("say") {
            answer.insert(HEADER, report.clone());
        }
        (answer, "hello")
    });
    serve(app).await
}

pub(crate) fn get(path: &'static str) -> Request {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = Uri::from_static(path);
    request
}

/// What a parrot is asked with.
pub(crate) fn say(report: &[u8]) -> Request {
    let mut request = get("/");
    let report = report.try_into().expect("a header value");
    request.headers_mut().insert("say", report);
    request
}

/// Picks the first backend, and takes down what it is told.
#[derive(Clone, Default)]
pub(crate) struct Told(Arc<Mutex<Vec<Event>>>);

impl Told {
    pub(crate) fn layer(&self, servers: &[(&str, SocketAddr)]) -> BalanceLayer<Body> {
        BalanceLayer::new(pool(servers), self.clone())
    }

    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub(crate) fn take_reports(&self) -> Vec<LoadReport> {
        let events = self.take().into_iter();
        let reports = events.filter_map(|event| match event {
            Event::Reported(report) => Some(report),
            _ => None,
        });
        reports.collect()
    }
}

impl<Req> Picker<Req> for Told {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, _cx: &mut Context) -> Option<usize> {
        (!set.is_empty()).then_some(0)
    }

    fn observe(&self, _backend: Handle, observation: &Observation) {
        self.0.lock().unwrap().push(observation.event());
    }
}

/// Waits for what a server notices a little later than its client.
pub(crate) async fn until(mut done: impl FnMut() -> bool) {
    let waits = async {
        while !done() {
            tokio::task::yield_now().await;
        }
    };
    let waits = tokio::time::timeout(Duration::from_secs(20), waits);
    waits.await.expect("it is so in the end");
}
