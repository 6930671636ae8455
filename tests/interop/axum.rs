//! axum's routers: as replicas, and in front, over a connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use evenkeel::backend::Failure;
use evenkeel::http::{BalanceLayer, ReplayBody, error_of, recommended};
use evenkeel::picker::Ordered;
use evenkeel::{Backend, Balance, Error, Pool};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tower::ServiceExt;
use tower::layer::Layer as _;

use crate::servers::{Server, app, counts, idle, in_flight, nobody, pool};

fn client<B>() -> Client<HttpConnector, B>
where
    B: http_body::Body<Data: Send> + Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

async fn ask(server: &Server, path: &str) -> axum::http::Response<Incoming> {
    let uri = format!("http://{}{path}", server.address());
    let request = Request::get(uri).body(Body::empty()).expect("a request");
    client().request(request).await.expect("a response")
}

async fn text(body: Incoming) -> String {
    let bytes = body.collect().await.expect("a body").to_bytes();
    String::from_utf8(bytes.into()).expect("UTF-8")
}

#[tokio::test]
async fn replicas_of_a_router_behind_a_router_share_its_requests() {
    let pool = Pool::from(["a", "b"].map(|name| Backend::new(name, app(name))));
    let balance = Balance::round_robin(pool.clone()).into_http_responses();
    let outer = Router::new()
        .route("/own", get("outer"))
        .fallback_service(balance);
    let server = Server::start(outer);

    assert_eq!(text(ask(&server, "/own").await.into_body()).await, "outer");
    let mut names = Vec::new();
    for _ in 0..4 {
        names.push(text(ask(&server, "/name").await.into_body()).await);
    }
    names.sort();
    assert_eq!(names, ["a", "a", "b", "b"]);

    let mut body = ask(&server, "/held").await.into_body();
    body.frame().await.unwrap().unwrap();
    let all = in_flight(&pool, "a") + in_flight(&pool, "b");
    assert_eq!(all, 1);
    drop(body);
    idle(&pool).await;
}

#[tokio::test]
async fn a_replica_that_is_not_available_is_not_seen_behind_the_recommended_stack() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let broken = Router::new().fallback(async move || {
        counted.fetch_add(1, Ordering::Relaxed);
        StatusCode::SERVICE_UNAVAILABLE
    });
    let pool = Pool::from([Backend::new("broken", broken), Backend::new("b", app("b"))]);
    let balance: Balance<_, Request<ReplayBody<Body>>> = Balance::new(pool.clone(), Ordered::new());
    let service = recommended(balance.count_to_body_end()).into_http_responses();
    let server = Server::start(Router::new().fallback_service(service));

    let response = ask(&server, "/name").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(text(response.into_body()).await, "b");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    idle(&pool).await;
    assert_eq!(counts(&pool, "broken").failures(), 1);
}

#[tokio::test]
async fn a_route_with_its_own_pool_stands_beside_another() {
    let (a, b) = (Server::start(app("a")), Server::start(app("b")));
    let of = |id, server: &Server| pool([(id, server.address())]);
    let (one, two) = (of("a", &a), of("b", &b));
    let through = |pool: &Pool<_>| {
        let layer = BalanceLayer::least_requests(pool.clone());
        recommended(layer.layer(client())).into_http_responses()
    };
    let front = Router::new()
        .nest_service("/one", through(&one))
        .nest_service("/two", through(&two));
    let server = Server::start(front);
    assert_eq!(text(ask(&server, "/one/name").await.into_body()).await, "a");
    assert_eq!(text(ask(&server, "/two/name").await.into_body()).await, "b");
    for pool in [&one, &two] {
        idle(pool).await;
    }
}

#[tokio::test]
async fn a_layer_of_the_router_sees_why_there_is_no_answer() {
    let (_held, gone) = nobody();
    let pool = pool([("gone", gone)]);
    let balance = BalanceLayer::<Body>::round_robin(pool.clone()).layer(client());
    let front = Router::new().fallback_service(balance.into_http_responses());
    let request = Request::get("/name").body(Body::empty()).unwrap();
    let response = front.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let error: &Error = error_of(&response).unwrap().downcast_ref().unwrap();
    assert_eq!(error.failure(), Some(Failure::Connect));
    assert_eq!(error.backend(), Some("gone"));
}
