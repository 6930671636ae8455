//! The health service of gRPC.

use evenkeel::health::{Answer, GrpcProbe};
use evenkeel::http::Address;
use http_body_util::Full;
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderMap, TE};
use hyper::{Method, Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, health_reporter};

use crate::setup::{
    Frames, HEALTHY, HttpClient, answering, anywhere, ask, http1_server, http2_client,
    http2_server, http2_service, nobody, unhealthy,
};

const SERVING: [u8; 7] = [0, 0, 0, 0, 2, 8, 1];

/// Tonic's health service, over HTTP/2.
async fn tonic() -> (HealthReporter, Address) {
    let (reporter, service) = health_reporter();
    (reporter, http2_service(service).await)
}

/// What is said about a server that ends its response with these trailers.
async fn says(
    frames: &'static [&'static [u8]],
    trailers: &[(&str, &str)],
) -> Result<Answer, String> {
    let trailers = headers(trailers);
    let answer = move |_: &Request<()>| {
        let frame = |part: &&'static [u8]| Ok(Frame::data(Bytes::from_static(part)));
        let mut body = Frames {
            frames: frames.iter().map(frame).collect(),
            endless: false,
        };
        if !trailers.is_empty() {
            body = body.and_trailers(trailers.clone());
        }
        let response = Response::builder().header(CONTENT_TYPE, "application/grpc");
        response.body(body).unwrap()
    };
    ask(&probe(), http2_server(answer).await.0).await
}

/// What is said about a server whose response is only a head.
async fn head_says(status: u16, head: &[(&str, &str)]) -> Result<Answer, String> {
    let head = headers(head);
    let answer = move |_: &Request<()>| {
        let response = Response::builder().status(status);
        let mut response = response.body(Frames::none()).unwrap();
        *response.headers_mut() = head.clone();
        response
    };
    ask(&probe(), http2_server(answer).await.0).await
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pair = |(name, value): &(&str, &str)| (name.parse().unwrap(), value.parse().unwrap());
    pairs.iter().map(pair).collect::<HeaderMap>()
}

fn probe() -> GrpcProbe<HttpClient<Full<Bytes>>, Full<Bytes>> {
    GrpcProbe::new(http2_client())
}

#[tokio::test]
async fn a_server_that_serves_is_healthy() {
    let (reporter, server) = tonic().await;
    assert_eq!(ask(&probe(), server.clone()).await, HEALTHY);

    reporter
        .set_service_status("", ServingStatus::NotServing)
        .await;
    assert_eq!(
        ask(&probe(), server).await,
        unhealthy("the server is NOT_SERVING, expected SERVING")
    );
}

#[tokio::test]
async fn a_service_is_asked_about_by_its_name() {
    let (reporter, server) = tonic().await;
    let long = format!("shop.{}", "x".repeat(300));
    let probe = |name: &str| probe().service(name);
    reporter
        .set_service_status("shop.Cart", ServingStatus::Serving)
        .await;
    reporter
        .set_service_status("shop.Till", ServingStatus::NotServing)
        .await;
    reporter
        .set_service_status("shop.Stock", ServingStatus::Unknown)
        .await;
    reporter
        .set_service_status(&long, ServingStatus::Serving)
        .await;

    assert_eq!(ask(&probe("shop.Cart"), server.clone()).await, HEALTHY);
    assert_eq!(ask(&probe(&long), server.clone()).await, HEALTHY);
    assert_eq!(
        ask(&probe("shop.Till"), server.clone()).await,
        unhealthy("the service shop.Till is NOT_SERVING, expected SERVING")
    );
    assert_eq!(
        ask(&probe("shop.Stock"), server).await,
        unhealthy("the service shop.Stock is UNKNOWN, expected SERVING")
    );
}

#[tokio::test]
async fn a_service_that_the_server_does_not_know_is_unhealthy() {
    let (_reporter, server) = tonic().await;
    let reason = ask(&probe().service("shop.Car"), server).await.unwrap_err();
    assert!(reason.starts_with("grpc-status 5 NOT_FOUND: "), "{reason}");
}

#[tokio::test]
async fn the_request_is_that_of_the_protocol() {
    let answer = |_: &Request<()>| {
        let trailers = headers(&[("grpc-status", "0")]);
        let body = Frames::bytes(Bytes::from_static(&SERVING)).and_trailers(trailers);
        let response = Response::builder().header(CONTENT_TYPE, "application/grpc+proto");
        response.body(body).unwrap()
    };
    let (server, seen) = http2_server(answer).await;
    assert_eq!(ask(&probe(), server.clone()).await, HEALTHY);

    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].method(), Method::POST);
    let expected = format!("{server}/grpc.health.v1.Health/Check");
    assert_eq!(seen[0].uri().to_string(), expected);
    assert_eq!(seen[0].headers()[CONTENT_TYPE], "application/grpc");
    assert_eq!(seen[0].headers()[TE], "trailers");
}

#[tokio::test]
async fn a_message_may_come_in_parts() {
    let ok = [("grpc-status", "0")];
    assert_eq!(says(&[&SERVING], &ok).await, HEALTHY);
    assert_eq!(says(&[&[0, 0], &[0, 0, 2, 8], &[1]], &ok).await, HEALTHY);
}

#[tokio::test]
async fn an_unimplemented_health_service_is_healthy() {
    assert_eq!(says(&[], &[("grpc-status", "12")]).await, HEALTHY);
    let grpc = ("content-type", "application/grpc");
    assert_eq!(
        head_says(200, &[grpc, ("grpc-status", "12")]).await,
        HEALTHY
    );
}

#[tokio::test]
async fn code_and_message_of_an_error_are_the_reason() {
    let status = [("grpc-status", "14"), ("grpc-message", "going%20down%0a")];
    let reason = unhealthy("grpc-status 14 UNAVAILABLE: \"going down\\n\"");
    assert_eq!(says(&[], &status).await, reason);
    assert_eq!(head_says(200, &status).await, reason);
    // It stands whatever the status of HTTP is, and whatever the message was.
    assert_eq!(head_says(503, &status).await, reason);
    assert_eq!(says(&[&SERVING], &status).await, reason);
}

#[tokio::test]
async fn a_response_without_a_status_at_its_end_is_no_answer() {
    let reason = unhealthy("the response has no grpc-status at its end");
    assert_eq!(says(&[&SERVING], &[]).await, reason);
    assert_eq!(says(&[&SERVING], &[("checksum", "42")]).await, reason);
}

#[tokio::test]
async fn what_is_no_grpc_is_the_reason() {
    assert_eq!(
        head_says(404, &[("content-type", "application/grpc")]).await,
        unhealthy("no gRPC response: status 404, expected 200")
    );
    assert_eq!(
        head_says(200, &[("content-type", "text/html")]).await,
        unhealthy("no gRPC response: content-type \"text/html\", expected application/grpc")
    );
    assert_eq!(
        head_says(200, &[]).await,
        unhealthy("no gRPC response: content-type \"\", expected application/grpc")
    );
}

#[tokio::test]
async fn a_message_that_is_none_is_the_reason() {
    let ok = [("grpc-status", "0")];
    let no_frame = unhealthy("the response is not one gRPC message");
    assert_eq!(says(&[], &ok).await, no_frame);
    assert_eq!(says(&[&SERVING, &SERVING], &ok).await, no_frame);
    assert_eq!(
        says(&[&[0, 0, 0, 0, 1, 8]], &ok).await,
        unhealthy("the response is not a HealthCheckResponse")
    );
    assert_eq!(
        says(&[&[1, 0, 0, 0, 2, 8, 1]], &ok).await,
        unhealthy("the response is compressed, which was not asked for")
    );
    assert_eq!(
        says(&[&[0, 0, 0, 0, 2, 8, 9]], &ok).await,
        unhealthy("the server is in the unknown state 9, expected SERVING")
    );
}

#[tokio::test]
async fn a_long_response_is_not_read() {
    /// A response of that length: `SERVING`, after a field that is unknown.
    fn response(length: usize) -> Vec<u8> {
        let message = length - 5;
        let mut bytes = vec![0];
        bytes.extend((message as u32).to_be_bytes());
        let field = message - 6;
        bytes.extend([
            0x22,
            field as u8 | 0x80,
            (field >> 7) as u8 | 0x80,
            (field >> 14) as u8,
        ]);
        bytes.resize(length - 2, 0);
        bytes.extend([8, 1]);
        bytes
    }
    let probe = |length, ends: bool| {
        let body = Bytes::from(response(length));
        GrpcProbe::new(answering(move || {
            let (front, back) = (body.slice(..8000), body.slice(8000..));
            let body = Frames {
                frames: [front, back].map(|part| Ok(Frame::data(part))).into(),
                endless: false,
            };
            let body = if ends {
                body.and_trailers(headers(&[("grpc-status", "0")]))
            } else {
                body.and_breaks_off()
            };
            let response = Response::builder().header(CONTENT_TYPE, "application/grpc");
            response.body(body).unwrap()
        }))
    };
    assert_eq!(ask(&probe(16_384, true), anywhere()).await, HEALTHY);
    assert_eq!(
        ask(&probe(16_385, false), anywhere()).await,
        unhealthy("the response is longer than 16384 bytes")
    );
}

#[tokio::test]
async fn a_response_that_breaks_off_is_the_reason() {
    let client = answering(|| {
        let response = Response::builder().header(CONTENT_TYPE, "application/grpc");
        let body = Frames::bytes(Bytes::from_static(&SERVING)).and_breaks_off();
        response.body(body).unwrap()
    });
    assert_eq!(
        ask(&GrpcProbe::new(client), anywhere()).await,
        unhealthy("the response broke off: unplugged")
    );
}

#[tokio::test]
async fn nobody_and_servers_without_http2_are_unhealthy() {
    let (_socket, address) = nobody();
    let reason = ask(&probe(), address.into()).await.unwrap_err();
    let start = format!("no response to POST http://{address}/grpc.health.v1.Health/Check: ");
    assert!(reason.starts_with(&start), "{reason}");
    assert!(reason.contains("refused"), "{reason}");

    let (server, _) = http1_server(|_| Response::new(Frames::none())).await;
    assert!(ask(&probe(), server.clone()).await.is_err());

    // Nor is it asked over HTTP/1.1.
    let client = Client::builder(TokioExecutor::new()).build_http();
    let probe = GrpcProbe::<_, Full<Bytes>>::new(client);
    let (server, seen) = http1_server(|_| Response::new(Frames::none())).await;
    assert!(ask(&probe, server).await.is_err());
    assert!(seen.lock().unwrap().is_empty());
}
