//! Layers of tower-http and of tower, around and inside: what the guide says of their places.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH};
use axum::http::{Request, Response, StatusCode};
use bytes::Bytes;
use evenkeel::backend::Failure;
use evenkeel::http::{BalanceLayer, HttpResponsesLayer, OnBodyEnd, recommended};
use evenkeel::picker::Ordered;
use evenkeel::{Backend, Balance, Pool};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::timeout::TimeoutLayer as TowerTimeoutLayer;
use tower::{Layer, Service, ServiceBuilder, ServiceExt};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::{ResponseBodyTimeoutLayer, TimeoutLayer};
use tower_http::trace::TraceLayer;

use crate::servers::{Server, app, count, counts, eventually, idle, in_flight, pool};

const MS: Duration = Duration::from_millis(1);

fn client<B>() -> Client<HttpConnector, B>
where
    B: http_body::Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

async fn ask(server: &Server, path: &str) -> Response<Incoming> {
    let mut request = get(&format!("http://{}{path}", server.address()));
    request
        .headers_mut()
        .insert(ACCEPT_ENCODING, "gzip".parse().unwrap());
    client().request(request).await.expect("a response")
}

/// Trace, a time limit, compression and the recommended stack, in this order.
fn front(pool: &Pool<evenkeel::http::Address>, limit: Duration) -> Server {
    let layer = BalanceLayer::least_requests(pool.clone());
    let service = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::new())
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            limit,
        ))
        .layer(HttpResponsesLayer::new())
        .service(recommended(layer.layer(client())));
    Server::start(Router::new().fallback_service(service))
}

#[tokio::test]
async fn a_traced_compressed_and_limited_stack_answers_and_counts_to_the_end() {
    let (a, b) = (Server::start(app("a")), Server::start(app("b")));
    let pool = pool([("a", a.address()), ("b", b.address())]);
    let _watching = count(&pool);
    let front = front(&pool, Duration::from_secs(60));

    for _ in 0..8 {
        let response = ask(&front, "/long").await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        assert!(!response.headers().contains_key(CONTENT_LENGTH));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        // 28 kB of text, packed.
        assert!((20..2_000).contains(&body.len()), "{} bytes", body.len());
        assert_eq!(body[..2], [0x1f, 0x8b]);
    }
    idle(&pool).await;
    let all = counts(&pool, "a").successes() + counts(&pool, "b").successes();
    assert_eq!(all, 8);
}

#[tokio::test]
async fn a_compressed_response_that_is_dropped_is_counted_back() {
    let a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let _watching = count(&pool);
    let front = front(&pool, Duration::from_secs(60));
    let response = ask(&front, "/held").await;
    assert_eq!(in_flight(&pool, "a"), 1);
    drop(response);
    idle(&pool).await;
    assert_eq!(counts(&pool, "a").cancelled(), 1);
}

#[tokio::test]
async fn a_time_limit_around_it_blames_nobody() {
    let a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let _watching = count(&pool);
    let front = front(&pool, 100 * MS);
    let response = ask(&front, "/hang").await;
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    idle(&pool).await;
    assert_eq!(counts(&pool, "a").failures(), 0);
    assert_eq!(counts(&pool, "a").cancelled(), 1);
}

/// Around the client it is the backend's.
#[tokio::test]
async fn a_time_limit_inside_is_held_against_the_backend() {
    let a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let _watching = count(&pool);
    let client = ServiceBuilder::new()
        .layer(TowerTimeoutLayer::new(100 * MS))
        .service(client::<Body>());
    let balance = BalanceLayer::round_robin(pool.clone()).layer(client);
    let error = balance.oneshot(get("/hang")).await.err().unwrap();
    assert_eq!(error.failure(), Some(Failure::Timeout));
    assert_eq!(counts(&pool, "a").failures(), 1);
}

/// tower-http's answers, instead of failing; that is the backend's answer then.
#[tokio::test]
async fn a_time_limit_inside_that_answers_is_a_failure_by_its_status() {
    let a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let _watching = count(&pool);
    let limit = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, 100 * MS);
    let client = limit.layer(client::<Body>().map_response(|response| response.map(Body::new)));
    let balance = BalanceLayer::round_robin(pool.clone()).layer(client);
    let response = balance.oneshot(get("/hang")).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    drop(response);
    assert_eq!(counts(&pool, "a").failures(), 1);
}

#[tokio::test]
async fn a_body_that_stalls_inside_a_limit_has_broken_off() {
    let a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let _watching = count(&pool);
    let client = ResponseBodyTimeoutLayer::new(100 * MS).layer(client::<Body>());
    let balance = BalanceLayer::round_robin(pool.clone()).layer(client);
    let response = balance.oneshot(get("/held")).await.unwrap();
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(counts(&pool, "a").failures(), 1);
    assert_eq!(in_flight(&pool, "a"), 0);
}

#[tokio::test]
async fn a_panic_that_is_caught_inside_is_the_replicas_failure() {
    let replica = CatchPanicLayer::new().layer(app("a"));
    let pool = Pool::from([Backend::new("a", replica)]);
    let _watching = count(&pool);
    let balance: Balance<_, Request<Body>> = Balance::round_robin(pool.clone());
    let response = balance
        .count_to_body_end()
        .oneshot(get("/panic"))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    drop(response);
    assert_eq!(counts(&pool, "a").failures(), 1);
    assert_eq!(in_flight(&pool, "a"), 0);
}

#[tokio::test]
async fn a_panic_that_is_caught_outside_is_counted_back_and_blames_nobody() {
    let pool = Pool::from([Backend::new("a", app("a"))]);
    let _watching = count(&pool);
    let balance: Balance<_, Request<Body>> = Balance::round_robin(pool.clone());
    let service = CatchPanicLayer::new().layer(balance.into_http_responses());
    let response = service.oneshot(get("/panic")).await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(in_flight(&pool, "a"), 0);
    assert_eq!(counts(&pool, "a").failures(), 0);
    assert_eq!(counts(&pool, "a").cancelled(), 1);
}

/// It asks whether what is inside is ready, and a balance always is.
#[tokio::test]
async fn a_load_shed_around_it_sheds_nothing() {
    let pool: Pool<Router> = Pool::new();
    let balance: Balance<_, Request<Body>> = Balance::round_robin(pool).max_wait(Duration::ZERO);
    let mut service = LoadShedLayer::new().layer(balance);
    let ready = service.ready().await;
    let error = ready.unwrap().call(get("/name")).await.unwrap_err();
    assert!(!error.is::<tower::load_shed::error::Overloaded>());
    assert!(error.is::<evenkeel::Error>());
}

/// One that is full is not ready, and passed over.
#[tokio::test]
async fn a_concurrency_limit_inside_is_passed_over_while_it_is_full() {
    let limited = |name| ConcurrencyLimitLayer::new(1).layer(app(name));
    let backends = ["a", "b"].map(|name| Backend::new(name, limited(name)));
    let pool = Pool::from(backends);
    let balance = Balance::new(pool.clone(), Ordered::new()).track(OnBodyEnd::new());
    let hangs = tokio::spawn(balance.clone().oneshot(get("/hang")));
    eventually("it hangs", async || in_flight(&pool, "a") == 1).await;
    let response = balance.oneshot(get("/name")).await.unwrap();
    assert_eq!(response.body().backend(), "b");
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        Bytes::from("b")
    );
    hangs.abort();
    idle(&pool).await;
}
