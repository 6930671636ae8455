//! Over connections, with the client and server of hyper.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use evenkeel::http::ReplayBody;
use http::header::{CONTENT_LENGTH, HeaderValue, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tower::BoxError;

use crate::setup::{All, Script, Step, trailers};

type Body = ReplayBody<Script>;

fn client() -> Client<HttpConnector, Body> {
    Client::builder(TokioExecutor::new()).build_http()
}

fn request(method: Method, server: SocketAddr, body: Script) -> Request<Body> {
    let request = Request::builder().method(method);
    let request = request.uri(format!("http://{server}/"));
    request.body(ReplayBody::new(body)).expect("a request")
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// A server that sends back the body, its trailers and the headers that tell its length.
async fn echo() -> SocketAddr {
    let (listener, address) = listen().await;
    let answer = async |request: Request<Incoming>| {
        let mut response = Response::builder();
        for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
            if let Some(value) = request.headers().get(&name) {
                response = response.header(format!("request-{name}"), value);
            }
        }
        let body = request.into_body().collect().await?;
        for (name, value) in body.trailers().into_iter().flatten() {
            response = response.header(name, value);
        }
        Ok::<_, BoxError>(response.body(Full::new(body.to_bytes()))?)
    };
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let served =
                http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(served);
        }
    });
    address
}

/// A server that closes each connection once it has read so many bytes.
async fn dies_after(bytes: usize) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; bytes];
            let _ = stream.read_exact(&mut buffer).await;
        }
    });
    address
}

async fn sent(request: Request<Body>) -> (HeaderMap, Bytes) {
    let response = client().request(request).await.expect("a response");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (parts.headers, body)
}

/// The length of the request, as the server was told it.
fn said_length(headers: &HeaderMap) -> (Option<&str>, Option<&str>) {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().expect("text"));
    (
        header("request-content-length"),
        header("request-transfer-encoding"),
    )
}

/// So many frames of so many bytes, all different.
fn frames(count: usize, bytes: usize) -> impl Iterator<Item = Step> {
    (0..count).map(move |frame| {
        let byte = |at| ((frame * bytes + at) % 251) as u8;
        Step::Data((0..bytes).map(byte).collect())
    })
}

fn length(sized: bool, bytes: &str) -> (Option<&str>, Option<&str>) {
    if sized {
        (Some(bytes), None)
    } else {
        (None, Some("chunked"))
    }
}

#[tokio::test]
async fn a_large_body_arrives_as_it_is() {
    for sized in [true, false] {
        let steps: Vec<_> = frames(64, 16 * 1024).collect();
        let expected = All::of(&steps);
        let request = request(Method::POST, echo().await, Script::new(steps).sized(sized));
        let kept = request.clone();
        let (headers, body) = sent(request).await;
        assert_eq!(said_length(&headers), length(sized, "1048576"));
        assert!(body == expected.data);
        assert!(!kept.body().can_replay());
    }
}

#[tokio::test]
async fn what_a_server_read_before_it_died_goes_to_the_next_with_the_rest() {
    for (sized, ended) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut steps: Vec<_> = frames(10, 1024).collect();
        steps.insert(5, Step::Stall);
        if !sized {
            steps.push(trailers("checksum", "42"));
        }
        let expected = All::of(&steps);
        let script = Script::new(steps).sized(sized).ended(ended);
        let mut first = request(Method::PUT, dies_after(3000).await, script);
        first
            .headers_mut()
            .insert("trailer", HeaderValue::from_static("checksum"));
        let mut second = first.clone();
        client().request(first).await.expect_err("the server died");
        assert!(released(second.body()).await);

        *second.uri_mut() = format!("http://{}/", echo().await).parse().expect("a URI");
        let third = second.clone();
        let (headers, body) = sent(second).await;
        assert_eq!(said_length(&headers), length(sized, "10240"));
        assert!(body == expected.data);
        assert_eq!(headers.get("checksum"), expected.trailers.get("checksum"));

        // It is whole now, and the same again.
        let (headers_again, body_again) = sent(third).await;
        assert_eq!(said_length(&headers_again), said_length(&headers));
        assert_eq!(headers_again.get("checksum"), headers.get("checksum"));
        assert_eq!(body_again, body);
    }
}

#[tokio::test]
async fn a_body_that_nobody_took_goes_to_the_next_whatever_its_size() {
    let (closed, address) = listen().await;
    drop(closed);
    let steps: Vec<_> = frames(64, 16 * 1024).collect();
    let expected = All::of(&steps);
    let first = request(Method::POST, address, Script::new(steps));
    let mut second = first.clone();
    let error = client().request(first).await.expect_err("nobody is there");
    assert!(error.is_connect());
    assert!(released(second.body()).await);
    *second.uri_mut() = format!("http://{}/", echo().await).parse().expect("a URI");
    assert!(sent(second).await.1 == expected.data);
}

/// Over HTTP/2 the error comes from one task, and another has the body.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_reset_lets_go_of_its_body() {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let reset = service_fn(async |_request: Request<Incoming>| {
                Err::<Response<Full<Bytes>>, _>(std::io::Error::other("reset"))
            });
            let builder = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), reset));
        }
    });
    let mut client = Client::builder(TokioExecutor::new());
    let client: Client<_, Body> = client.http2_only(true).build_http();
    for _ in 0..50 {
        let steps = frames(2, 1024).chain([Step::Stall]);
        let request = request(Method::POST, address, Script::new(steps));
        let kept = request.clone();
        client.request(request).await.expect_err("it was reset");
        assert!(released(kept.body()).await);
    }
}

/// Waits until no connection has the body, which one may a moment longer than its error.
async fn released(body: &Body) -> bool {
    let wait = timeout(Duration::from_secs(20), body.released());
    wait.await.expect("the body is let go")
}
