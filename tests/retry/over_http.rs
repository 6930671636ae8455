//! What HTTP and gRPC say of a retry, through the layers as they are used.

use std::future::ready;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use evenkeel::Pool;
use evenkeel::backend::{Failure, Outcome};
use evenkeel::http::{
    BalanceLayer, ByMethod, GrpcOutcomes, HttpResponses, Idempotent, ReplayBody, ReplayLayer,
    TrackedBody, error_of,
};
use evenkeel::picker::Ordered;
use evenkeel::retry::RetryLayer;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, StreamBody};
use tokio::time::Instant;
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

type Sent = Request<ReplayBody<Full<Bytes>>>;
type Says = Result<Response<String>, ErrorKind>;

/// What was sent to whom and when, in milliseconds.
#[derive(Clone, Debug)]
struct Got {
    host: String,
    at: u64,
    headers: HeaderMap,
    body: Bytes,
}

/// The first backend says one thing, all others that all is well.
async fn ask(request: http::request::Builder, says: Says) -> (Response<Text>, Vec<Got>) {
    ask_with(request, says, RetryLayer::new(ByMethod::new()), false).await
}

/// A body, or what became of the request instead.
type Text = Result<TrackedBody<String>, String>;

async fn ask_with(
    request: http::request::Builder,
    says: Says,
    layer: RetryLayer<ByMethod>,
    whole: bool,
) -> (Response<Text>, Vec<Got>) {
    let (began, log) = (Instant::now(), Arc::<Mutex<Vec<Got>>>::default());
    let says = Arc::new(says);
    let client = {
        let log = Arc::clone(&log);
        service_fn(move |request: Sent| {
            let (log, says) = (Arc::clone(&log), Arc::clone(&says));
            async move {
                let (parts, body) = request.into_parts();
                let host = parts.uri.host().expect("an address").to_owned();
                let is_first = host == "10.0.0.1";
                // One that fails has read the head only, but for those that are to read all.
                let body = if is_first && !whole {
                    Bytes::new()
                } else {
                    let all = body.collect().await.map_err(io::Error::other)?;
                    all.to_bytes()
                };
                let at = began.elapsed().as_millis() as u64;
                let headers = parts.headers;
                log.lock().unwrap().push(Got {
                    host,
                    at,
                    headers,
                    body,
                });
                match &*says {
                    Ok(response) if is_first => Ok(response.clone()),
                    Err(kind) if is_first => Err(io::Error::from(*kind)),
                    _ => Ok(Response::new("well".to_owned())),
                }
            }
        })
    };
    let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]).unwrap();
    let balance = BalanceLayer::new(pool, Ordered::new());
    let service = ServiceBuilder::new()
        .layer(ReplayLayer::new())
        .layer(layer)
        .layer(balance)
        .service(client);
    let request = request.uri("http://shop.example/cart");
    let request = request
        .body(Full::new(Bytes::from_static(b"text")))
        .unwrap();
    let response = match service.oneshot(request).await {
        Ok(response) => response.map(Ok),
        Err(error) => Response::new(Err(error.to_string())),
    };
    let log = log.lock().unwrap().clone();
    (response, log)
}

fn status(status: u16) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn with(
    mut response: Response<String>,
    name: &'static str,
    value: &'static str,
) -> Response<String> {
    response.headers_mut().insert(name, value.parse().unwrap());
    response
}

fn method(method: &Method) -> http::request::Builder {
    Request::builder().method(method)
}

#[tokio::test(start_paused = true)]
async fn the_method_says_what_is_safe() {
    let idempotent = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];
    let others = ["POST", "PATCH", "CONNECT", "PURGE", "get"];
    for name in idempotent.into_iter().chain(others) {
        let safe = idempotent.contains(&name);
        let by_name = method(&Method::from_bytes(name.as_bytes()).unwrap());
        let (_, log) = ask(by_name, Ok(status(503))).await;
        assert_eq!(log.len(), if safe { 2 } else { 1 }, "{name}");
        let by_name = method(&Method::from_bytes(name.as_bytes()).unwrap());
        let marked = by_name.extension(Idempotent);
        let (_, log) = ask(marked, Ok(status(503))).await;
        assert_eq!(log.len(), 2, "{name}, marked");
        let by_name = method(&Method::from_bytes(name.as_bytes()).unwrap());
        let (_, log) = ask(by_name, Err(ErrorKind::ConnectionRefused)).await;
        assert_eq!(log.len(), 2, "{name} never left");
        // Also what an established connection says, when the server has read all.
        let by_name = method(&Method::from_bytes(name.as_bytes()).unwrap());
        let (_, log) = ask(by_name, Err(ErrorKind::HostUnreachable)).await;
        assert_eq!(log.len(), if safe { 2 } else { 1 }, "{name} may have left");
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_says_what_is_retried() {
    for code in (200..=599).step_by(1) {
        let (response, log) = ask(method(&Method::GET), Ok(status(code))).await;
        let retried = (502..=504).contains(&code);
        assert_eq!(log.len() == 2, retried, "{code}");
        if !retried {
            assert_eq!(response.status(), code);
        }
    }
    let layer = || RetryLayer::new(ByMethod::new());
    let told = layer().on_rejected().on([Failure::Response]);
    for (code, retried) in [(429, true), (500, true), (503, false), (404, false)] {
        let (_, log) = ask_with(method(&Method::GET), Ok(status(code)), told.clone(), false).await;
        assert_eq!(log.len() == 2, retried, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_sent_again_as_it_was() {
    let layer = || RetryLayer::new(ByMethod::new());
    for whole in [false, true] {
        let (_, log) = ask_with(method(&Method::PUT), Ok(status(503)), layer(), whole).await;
        assert_eq!(log.len(), 2);
        assert_eq!(log[1].body, "text", "{log:?}");
        assert_eq!(log[1].host, "10.0.0.2");
    }
}

/// By one that is alone: the first time it says this, and then that all is well.
async fn ask_alone(says: Response<String>, layer: RetryLayer<ByMethod>) -> (u16, Vec<u64>) {
    let (began, log) = (Instant::now(), Arc::<Mutex<Vec<u64>>>::default());
    let got = Arc::clone(&log);
    let client = service_fn(move |_request: Sent| {
        let mut log = got.lock().unwrap();
        log.push(began.elapsed().as_millis() as u64);
        let is_first = log.len() == 1;
        let response = if is_first { says.clone() } else { status(200) };
        ready(Ok::<_, io::Error>(response))
    });
    let pool = Pool::of_addresses(["10.0.0.1:80"]).unwrap();
    let service = ServiceBuilder::new()
        .layer(ReplayLayer::new())
        .layer(layer)
        .layer(BalanceLayer::new(pool, Ordered::new()))
        .service(client);
    let request = Request::get("http://shop.example/").body(Full::new(Bytes::new()));
    let response = service.oneshot(request.unwrap()).await.unwrap();
    let log = log.lock().unwrap().clone();
    (response.status().as_u16(), log)
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_waited_for_by_those_who_have_no_other_backend_and_the_time() {
    let says = |seconds| with(status(503), "retry-after", seconds);
    let layer = || RetryLayer::new(ByMethod::new());
    assert_eq!(ask_alone(says("2"), layer()).await, (200, vec![0, 2000]));
    assert_eq!(ask_alone(says("10"), layer()).await, (200, vec![0, 10_000]));
    for longer in ["11", "86400", "4294967296", "99999999999999999999"] {
        assert_eq!(ask_alone(says(longer), layer()).await, (503, vec![0]));
    }
    let in_all = |seconds| layer().total_time(Duration::from_secs(seconds));
    assert_eq!(ask_alone(says("2"), in_all(3)).await, (200, vec![0, 2000]));
    assert_eq!(ask_alone(says("2"), in_all(2)).await, (503, vec![0]));

    // A backend that speaks of itself is left alone, and others are not.
    for seconds in ["2", "86400"] {
        let (response, log) = ask(method(&Method::GET), Ok(says(seconds))).await;
        assert_eq!((response.status().as_u16(), log[1].at), (200, 0));
        assert_eq!(log[1].host, "10.0.0.2");
    }
    let says = || with(status(503), "grpc-retry-pushback-ms", "2000");
    let (response, log) = ask(method(&Method::GET), Ok(says())).await;
    assert_eq!((response.status().as_u16(), log[1].at), (200, 2000));
    // A date, or nonsense, is no time.
    let says = with(status(503), "retry-after", "Fri, 31 Dec 1999 23:59:59 GMT");
    let (_, log) = ask(method(&Method::GET), Ok(says)).await;
    assert_eq!(log[1].at, 0);
}

#[tokio::test(start_paused = true)]
async fn a_response_tells_of_the_attempts_before_it() {
    let (response, _) = ask(method(&Method::GET), Ok(status(502))).await;
    let body = response.into_body().unwrap();
    let [first] = body.attempts() else {
        panic!("{:?}", body.attempts())
    };
    assert_eq!(first.backend(), "10.0.0.1:80");
    assert_eq!(first.outcome(), Outcome::Failure(Failure::Gateway));
    assert!(first.took().is_some());
    let (response, _) = ask(method(&Method::GET), Ok(status(200))).await;
    assert!(response.into_body().unwrap().attempts().is_empty());
}

/// Sends a gRPC request by POST that is marked as safe.
async fn grpc(says: Response<String>) -> Vec<Got> {
    let request = method(&Method::POST).header("content-type", "application/grpc+proto");
    let (began, log) = (Instant::now(), Arc::<Mutex<Vec<Got>>>::default());
    let got = Arc::clone(&log);
    let client = service_fn(move |request: Sent| {
        let mut log = got.lock().unwrap();
        let is_first = log.is_empty();
        log.push(Got {
            host: request.uri().host().unwrap().to_owned(),
            at: began.elapsed().as_millis() as u64,
            headers: request.headers().clone(),
            body: Bytes::new(),
        });
        let well = with(Response::new(String::new()), "grpc-status", "0");
        let response = if is_first { says.clone() } else { well };
        ready(Ok::<_, io::Error>(response))
    });
    let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"]).unwrap();
    let service = ServiceBuilder::new()
        .layer(ReplayLayer::new())
        .layer(RetryLayer::new(ByMethod::new()))
        .layer(BalanceLayer::new(pool, Ordered::new()).classify(GrpcOutcomes::new()))
        .service(client);
    let request = request
        .uri("http://shop.example/a.B/C")
        .extension(Idempotent);
    let request = request.body(Full::new(Bytes::new())).unwrap();
    let _ = service.oneshot(request).await.unwrap();
    log.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn grpcs_status_and_pushback_say_what_is_retried_and_when() {
    let says = |code| with(Response::new(String::new()), "grpc-status", code);
    for (code, retried) in [
        ("14", true),
        ("4", true),
        ("8", false),
        ("13", false),
        ("5", false),
    ] {
        assert_eq!(grpc(says(code)).await.len() == 2, retried, "{code}");
    }
    let told = |value| with(says("14"), "grpc-retry-pushback-ms", value);
    assert_eq!(grpc(told("150")).await[1].at, 150);
    assert_eq!(grpc(told("10000")).await[1].at, 10_000);
    assert_eq!(grpc(told("10001")).await.len(), 1);
    assert_eq!(grpc(told("-1")).await.len(), 1);
    assert_eq!(grpc(told("soon")).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn grpc_is_told_how_often_the_request_was_sent() {
    let log = grpc(with(Response::new(String::new()), "grpc-status", "14")).await;
    let sent = log
        .iter()
        .map(|got| got.headers.get("grpc-previous-rpc-attempts"));
    let sent: Vec<_> = sent
        .map(|value| value.map(|value| value.to_str().unwrap()))
        .collect();
    assert_eq!(sent, [None, Some("1")]);
    let (_, log) = ask(method(&Method::GET), Ok(status(503))).await;
    assert!(!log[1].headers.contains_key("grpc-previous-rpc-attempts"));
}

#[tokio::test(start_paused = true)]
async fn a_response_that_has_begun_is_not_retried() {
    let log = Arc::<Mutex<Vec<String>>>::default();
    let got = Arc::clone(&log);
    let client = service_fn(move |request: Sent| {
        let host = request.uri().host().unwrap().to_owned();
        got.lock().unwrap().push(host);
        let frame = http_body::Frame::data(Bytes::from_static(b"half"));
        let frames = [Ok(frame), Err(io::Error::from(ErrorKind::ConnectionReset))];
        let body = StreamBody::new(tokio_stream::iter(frames));
        ready(Ok::<_, io::Error>(Response::new(body)))
    });
    let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"]).unwrap();
    let service = ServiceBuilder::new()
        .layer(ReplayLayer::new())
        .layer(RetryLayer::new(ByMethod::new()).on([Failure::Body, Failure::Other]))
        .layer(BalanceLayer::new(pool.clone(), Ordered::new()))
        .service(client);
    let request = Request::get("http://shop.example/").body(Full::new(Bytes::new()));
    let response = service.oneshot(request.unwrap()).await.unwrap();
    let error: BoxError = response.into_body().collect().await.unwrap_err().into();
    assert!(error.is::<io::Error>());
    assert_eq!(*log.lock().unwrap(), ["10.0.0.1"]);
    assert_eq!(pool.get("10.0.0.1:80").unwrap().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn as_responses_the_last_failure_counts() {
    for (kind, code) in [
        (ErrorKind::ConnectionRefused, 502),
        (ErrorKind::ConnectionReset, 502),
        (ErrorKind::TimedOut, 504),
    ] {
        let client = service_fn(move |_request: Sent| {
            ready(Err::<Response<String>, _>(io::Error::from(kind)))
        });
        let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"]).unwrap();
        let service = ServiceBuilder::new()
            .layer(ReplayLayer::new())
            .layer(RetryLayer::new(ByMethod::new()))
            .layer(BalanceLayer::new(pool, Ordered::new()))
            .service(client);
        let request = Request::get("http://shop.example/").body(Full::new(Bytes::new()));
        let response = HttpResponses::new(service)
            .oneshot(request.unwrap())
            .await
            .unwrap();
        assert_eq!(response.status(), code);
        let error = error_of(&response)
            .unwrap()
            .downcast_ref::<evenkeel::Error>();
        assert_eq!(error.unwrap().attempts().len(), 3);
    }
}
