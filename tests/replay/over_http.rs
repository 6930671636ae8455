//! Over connections, with the client and server of hyper.

use std::net::SocketAddr;

use bytes::Bytes;
use evenkeel::http::ReplayBody;
use http::header::HeaderValue;
use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;

use crate::servers::{Version, client, dies_after, echo, listen};
use crate::setup::{All, Script, Step, frames, trailers};

type Body = ReplayBody<Script>;

fn request(method: Method, server: SocketAddr, body: Script) -> Request<Body> {
    let request = Request::builder().method(method);
    let request = request.uri(format!("http://{server}/"));
    request.body(ReplayBody::new(body)).expect("a request")
}

async fn sent(request: Request<Body>) -> (HeaderMap, Bytes) {
    let response = client(Version::H1)
        .request(request)
        .await
        .expect("a response");
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
        let request = request(
            Method::POST,
            echo(Version::H1).await,
            Script::new(steps).sized(sized),
        );
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
        client(Version::H1)
            .request(first)
            .await
            .expect_err("the server died");
        // It waits until the client has let go of the first.
        *second.uri_mut() = format!("http://{}/", echo(Version::H1).await)
            .parse()
            .expect("a URI");
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
    let error = client(Version::H1)
        .request(first)
        .await
        .expect_err("nobody is there");
    assert!(error.is_connect());
    *second.uri_mut() = format!("http://{}/", echo(Version::H1).await)
        .parse()
        .expect("a URI");
    assert!(sent(second).await.1 == expected.data);
}
