//! What axum answers when a balance has no answer.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::Response;
use evenkeel::Backoff;
use evenkeel::backend::Failure;
use evenkeel::connect::Connect;
use evenkeel::http::{Address, BalanceLayer, HttpResponsesLayer};
use evenkeel::picker::RoundRobin;
use evenkeel::{Backend, Balance, Error, Pool};
use http_body_util::BodyExt;
use hyper::body::Body as _;
use tokio::net::TcpSocket;
use tower::limit::ConcurrencyLimit;
use tower::timeout::Timeout;
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};

use crate::setup::http_client;

/// Asks a router in this process, without a connection.
async fn ask(app: &Router) -> Response {
    let request = Request::get("/").body(Body::empty()).expect("a request");
    app.clone()
        .oneshot(request)
        .await
        .expect("it is infallible")
}

async fn text(response: Response) -> String {
    let bytes = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    String::from_utf8(bytes.into()).expect("UTF-8")
}

fn named(name: &'static str) -> Backend<Router> {
    Backend::new(name, Router::new().fallback(async move || name))
}

/// What a balance said before it was made a response.
fn error_of(response: &Response) -> &Error {
    let error = evenkeel::http::error_of(response).expect("it was made of an error");
    error.downcast_ref().expect("it is of this crate")
}

#[tokio::test]
async fn replicas_answer_with_200_each_in_its_turn() {
    let balance = Balance::new([named("one"), named("two")], RoundRobin::starting_at(0));
    let app = Router::new().fallback_service(balance.into_http_responses());

    for expected in ["one", "two", "one", "two"] {
        let response = ask(&app).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(text(response).await, expected);
    }
}

#[tokio::test]
async fn a_replica_s_own_failure_is_passed_on_as_it_is() {
    let broken = Router::new().fallback(async || (StatusCode::INTERNAL_SERVER_ERROR, "oh"));
    let balance = Balance::round_robin([Backend::new("a", broken)]);
    let app = Router::new().fallback_service(balance.into_http_responses());

    let response = ask(&app).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(text(response).await, "oh");
}

#[tokio::test]
async fn an_empty_pool_is_503_with_retry_after() {
    let balance = Balance::round_robin(Pool::<Router>::new()).max_wait(Duration::ZERO);
    let service = balance
        .into_http_responses()
        .retry_after(Duration::from_secs(7));
    let app = Router::new().fallback_service(service);

    let response = ask(&app).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[RETRY_AFTER], "7");
    assert_eq!(response.body().size_hint().exact(), Some(19));
    assert!(error_of(&response).is_no_backend());
    assert_eq!(text(response).await, "Service Unavailable");
}

#[tokio::test]
async fn without_anything_known_a_503_has_no_retry_after() {
    let balance = Balance::round_robin(Pool::<Router>::new()).max_wait(Duration::ZERO);
    let app = Router::new().fallback_service(balance.into_http_responses());

    let response = ask(&app).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!response.headers().contains_key(RETRY_AFTER));
}

#[tokio::test]
async fn drained_replicas_are_503_until_one_is_taken_back() {
    let pool = Pool::from([named("a"), named("b")]);
    let balance = Balance::round_robin(pool.clone()).max_wait(Duration::ZERO);
    let app = Router::new().fallback_service(balance.into_http_responses());

    pool.drain("a");
    pool.drain("b");
    assert_eq!(ask(&app).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    pool.undrain("b");
    assert_eq!(text(ask(&app).await).await, "b");
}

#[tokio::test(start_paused = true)]
async fn replicas_that_take_nothing_in_time_are_503() {
    let stuck = service_fn(|_: Request| pending::<Result<Response, Infallible>>());
    let balance = Balance::round_robin([Backend::new("a", ConcurrencyLimit::new(stuck, 1))]);
    let app = Router::new().fallback_service(balance.into_http_responses());

    let first = tokio::spawn({
        let app = app.clone();
        async move { ask(&app).await }
    });
    tokio::task::yield_now().await;
    let response = ask(&app).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(error_of(&response).passed_over()[0].backend(), "a");
    first.abort();
}

#[tokio::test]
async fn a_backend_that_refuses_connections_is_502_and_the_client_learns_no_address() {
    // A bound socket that does not listen refuses, and keeps the port from anyone else.
    let closed = TcpSocket::new_v4().expect("a socket");
    closed
        .bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        .expect("a port");
    let address = Address::from(closed.local_addr().expect("its address"));
    let layer = BalanceLayer::round_robin([Backend::new("nobody", address)]);
    let app = Router::new().fallback_service(layer.layer(http_client()).into_http_responses());

    let response = ask(&app).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let error = error_of(&response);
    assert_eq!(error.backend(), Some("nobody"));
    assert_eq!(error.failure(), Some(Failure::Connect));
    assert_eq!(text(response).await, "Bad Gateway");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_times_out_is_504() {
    let stuck = service_fn(|_: Request| pending::<Result<Response, Infallible>>());
    let backend = Backend::new("slow", Timeout::new(stuck, Duration::from_secs(30)));
    let balance = Balance::round_robin([backend]);
    let pool = balance.pool().clone();
    let app = Router::new().fallback_service(balance.into_http_responses());

    let response = ask(&app).await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(error_of(&response).backend(), Some("slow"));
    assert_eq!(pool.get("slow").unwrap().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_time_limit_around_the_whole_balance_is_504() {
    let stuck = service_fn(|_: Request| pending::<Result<Response, Infallible>>());
    let balance = Balance::round_robin([Backend::new("slow", stuck)]).count_to_body_end();
    let pool = balance.pool().clone();
    let service = ServiceBuilder::new()
        .layer(HttpResponsesLayer::new())
        .timeout(Duration::from_secs(30))
        .service(balance);
    let app = Router::new().fallback_service(service);

    assert_eq!(ask(&app).await.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!(pool.get("slow").unwrap().in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn while_every_address_is_backing_off_retry_after_says_for_how_long() {
    let refuse = service_fn(|_: &'static str| async {
        Err::<Router, _>(io::Error::from(io::ErrorKind::ConnectionRefused))
    });
    let backoff = Backoff::new(Duration::from_secs(20), Duration::from_secs(20)).unwrap();
    let connect = Connect::new(refuse).backoff(backoff);
    let balance = Balance::round_robin([Backend::new("a", connect.to("a"))]);
    let app = Router::new().fallback_service(balance.into_http_responses());

    let response = ask(&app).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let seconds: u64 = response.headers()[RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((10..=20).contains(&seconds), "{seconds}");
}
