//! HTTP/2 on either side.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use evenkeel::http::proxy::{ClientBuilder, Server};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::HeaderMap;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio_stream as stream;

use super::setup::{Front, Settings, answering, backend, within};

/// Answers in HTTP/2 with the request's headers, one a line, and trailers.
async fn http2_backend() -> SocketAddr {
    backend(async |stream| {
        let answer = async |request: Request<Incoming>| {
            let (head, body) = request.into_parts();
            let trailers = body.collect().await.expect("a body").trailers().cloned();
            let lines = head
                .headers
                .iter()
                .map(|(name, value)| format!("{name}: {}\n", value.to_str().expect("text")));
            let text: String = lines.collect();
            let text = format!("{} {}\n{text}{trailers:?}\n", head.method, head.uri);
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", "0".parse().expect("a value"));
            let frames = [Frame::data(Bytes::from(text)), Frame::trailers(trailers)];
            let body = StreamBody::new(stream::iter(frames.map(Ok::<_, Infallible>)));
            Ok::<_, Infallible>(Response::new(body))
        };
        let connection = http2::Builder::new(TokioExecutor::new());
        let _ = connection
            .serve_connection(TokioIo::new(stream), service_fn(answer))
            .await;
    })
    .await
}

async fn ask(request: http::request::Builder) -> Response<Incoming> {
    let client = Client::builder(TokioExecutor::new());
    let client = client.clone().http2_only(true).build_http();
    let request = request.body(Full::new(Bytes::from_static(b"body")));
    let answer = client.request(request.expect("a request")).await;
    answer.expect("an answer")
}

#[tokio::test]
async fn http_2_passes_through_with_trailers() {
    let settings = Settings {
        client: ClientBuilder::new().http2_only(),
        ..Settings::default()
    };
    let front = Front::start_with(&[http2_backend().await], settings).await;
    let request = Request::post(format!("http://{}/a", front.address));
    let request = request.header("te", "trailers").header("x-kept", "yes");
    let answer = ask(request).await;
    let answer = answer.into_body().collect().await.expect("a whole body");
    assert_eq!(answer.trailers().expect("trailers")["grpc-status"], "0");
    let text = String::from_utf8(answer.to_bytes().to_vec()).expect("text");
    for line in [
        "te: trailers",
        "x-kept: yes",
        "via: 2 evenkeel",
        "x-real-ip: 127.0.0.1",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    front.is_settled().await;
}

#[tokio::test]
async fn http_2_becomes_http_1_for_a_backend_that_speaks_it() {
    let (address, seen) = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    let front = Front::start(&[address]).await;
    let request = Request::post(format!("http://{}/a", front.address));
    let request = request.header("cookie", "a=1").header("cookie", "b=2");
    let answer = ask(request).await.into_body().collect().await;
    assert_eq!(answer.expect("a whole body").to_bytes(), "ok");
    let seen = seen
        .lock()
        .expect("no panic")
        .remove(0)
        .to_ascii_lowercase();
    assert!(seen.starts_with("post /a http/1.1\r\n"), "{seen}");
    assert!(
        seen.contains(&format!("host: {}\r\n", front.address)),
        "{seen}"
    );
    assert!(seen.contains("cookie: a=1; b=2\r\n"), "{seen}");
    front.is_settled().await;
}

#[tokio::test]
async fn a_client_that_keeps_its_windows_closed_is_hung_up_on_and_its_backend_free() {
    let long = "x".repeat(1 << 20);
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{long}",
        long.len()
    );
    let (address, _) = answering(answer).await;
    let settings = Settings {
        server: Server::new().write_timeout(Duration::from_millis(200)),
        ..Settings::default()
    };
    let front = Front::start_with(&[address], settings).await;
    let mut stream = front.connect().await;
    // The preface, SETTINGS with INITIAL_WINDOW_SIZE 0, and a GET: :method, :scheme, :path from the
    // static table, :authority as a literal.
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend_from_slice(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0]);
    let head = b"\x82\x86\x84\x01\x04shop";
    sent.extend_from_slice(&[0, 0, head.len() as u8, 1, 5, 0, 0, 0, 1]);
    sent.extend_from_slice(head);
    stream.write_all(&sent).await.expect("it reads");
    // It is alive, and answers whatever it is asked: the socket never stands still.
    let alive = async {
        loop {
            let ping = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
            if stream.write_all(&ping).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("the end of the connection", alive).await;
    front.has_ended(1).await;
}

#[tokio::test]
async fn an_http_2_client_that_names_two_hosts_is_refused() {
    let front = Front::start(&[]).await;
    let request = Request::get(format!("http://{}/", front.address));
    let answer = ask(request.header("host", "other.example")).await;
    assert_eq!(answer.status(), 400);
}

#[tokio::test]
async fn http_1_becomes_http_2_for_a_backend_that_speaks_it() {
    let settings = Settings {
        client: ClientBuilder::new().http2_only(),
        ..Settings::default()
    };
    let front = Front::start_with(&[http2_backend().await], settings).await;
    let answer = front.get().await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("host: shop.example"), "{answer}");
    front.is_settled().await;
}
