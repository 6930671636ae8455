//! Requests, and counts of who answered them.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::{Body, Bytes, Incoming};
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::task::JoinSet;

use super::server::NAMES;

pub(crate) type HttpClient = Client<HttpConnector, Empty<Bytes>>;

/// Asks once; the answer is the server's name.
pub(crate) type Ask = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = String> + Send>> + Send + Sync>;

pub(crate) fn http_client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build_http()
}

pub(crate) fn request(uri: &str) -> Request<Empty<Bytes>> {
    Request::get(uri).body(Empty::new()).expect("a request")
}

/// Asks a server that has to answer, over a connection of its own.
pub(crate) async fn get(uri: &str) -> Response<Incoming> {
    let response = within("an answer", http_client().request(request(uri))).await;
    response.unwrap_or_else(|error| panic!("{uri}: {error:?}"))
}

/// Reads a whole body of text.
pub(crate) async fn text<B>(response: Response<B>) -> String
where
    B: Body<Error: std::fmt::Debug>,
{
    let body = within("a body", response.into_body().collect()).await;
    let body = body.expect("a whole body").to_bytes();
    String::from_utf8(body.into()).expect("text")
}

/// Reads one frame of a body of text.
pub(crate) async fn frame<B>(response: &mut Response<B>) -> String
where
    B: Body<Data = Bytes, Error: std::fmt::Debug> + Unpin,
{
    let frame = within("a frame", response.body_mut().frame()).await;
    let frame = frame.expect("not the end").expect("not broken off");
    let data = frame.into_data().expect("not trailers");
    String::from_utf8(data.into()).expect("text")
}

/// Returns the name of the server that a response is from.
pub(crate) fn server_of<B>(response: &Response<B>) -> String {
    let name = &response.headers()["x-backend"];
    name.to_str().expect("a name").to_owned()
}

/// Returns how many of so many requests a, b and c answered. Each client sends its next request
/// when the last is answered, until all are sent.
pub(crate) async fn counts(requests: usize, clients: usize, ask: Ask) -> [usize; 3] {
    let sent = Arc::new(AtomicUsize::new(0));
    let mut running = JoinSet::new();
    for _ in 0..clients {
        let (sent, ask) = (Arc::clone(&sent), Arc::clone(&ask));
        running.spawn(async move {
            let mut names = Vec::new();
            while sent.fetch_add(1, Ordering::Relaxed) < requests {
                names.push(ask().await);
            }
            names
        });
    }
    let names = within("all answers", running.join_all()).await.concat();
    let counts = NAMES.map(|name| names.iter().filter(|&answer| answer == name).count());
    assert_eq!(counts.iter().sum::<usize>(), requests, "{names:?}");
    counts
}

/// Waits for what has to come, however slow the machine is, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .unwrap_or_else(|_| panic!("waited a minute for {what}"))
}
