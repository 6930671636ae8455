//! hyper-util's client.

use std::error::Error as _;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use evenkeel::backend::{Failure, Outcome};
use evenkeel::balance::ClientError;
use evenkeel::http::{BalanceLayer, recommended};
use evenkeel::picker::Ordered;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::TokioExecutor;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::servers::{Server, app, count, counts, idle, in_flight, nobody, pool};

/// Tells what the client's error knows.
fn told(error: Error) -> BoxError {
    if error.is_connect() {
        let error = ClientError::new(Outcome::Failure(Failure::Connect), error);
        error.never_left().into()
    } else {
        error.into()
    }
}

#[tokio::test]
async fn requests_go_to_each_in_turn_and_are_counted_to_the_end_of_the_body() {
    let (a, b) = (Server::start(app("a")), Server::start(app("b")));
    let pool = pool([("a", a.address()), ("b", b.address())]);
    let _watching = count(&pool);
    let client = Client::builder(TokioExecutor::new()).build_http();
    let client = BalanceLayer::round_robin(pool.clone()).layer(client);

    let mut names = Vec::new();
    for _ in 0..4 {
        let request = Request::get("http://shop.example/name").body(Empty::<Bytes>::new());
        let response = client.clone().oneshot(request.unwrap()).await.unwrap();
        names.push(response.into_body().collect().await.unwrap().to_bytes());
    }
    names.sort();
    assert_eq!(names, ["a", "a", "b", "b"]);

    let request = Request::get("http://shop.example/held").body(Empty::<Bytes>::new());
    let response = client.clone().oneshot(request.unwrap()).await.unwrap();
    let id = response.body().backend().to_owned();
    assert_eq!(in_flight(&pool, &id), 1);
    drop(response);
    idle(&pool).await;
    assert_eq!(counts(&pool, &id).cancelled(), 1);
}

#[tokio::test]
async fn a_post_for_which_there_was_no_connection_is_sent_elsewhere() {
    let (a, (_held, gone)) = (Server::start(app("a")), nobody());
    let pool = pool([("gone", gone), ("a", a.address())]);
    let client = Client::builder(TokioExecutor::new())
        .build_http()
        .map_err(told);
    let client = recommended(BalanceLayer::new(pool.clone(), Ordered::new()).layer(client));

    let request = Request::post("http://shop.example/echo").body(Full::new(Bytes::from("text")));
    let response = client.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.body().get_ref().attempts().len(), 1);
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "text"
    );
    idle(&pool).await;
    assert_eq!(counts(&pool, "gone").failures(), 1);
}

/// A name that nobody knows gives an error of no kind that could be told from its causes.
#[tokio::test]
async fn what_the_client_tells_of_its_error_is_believed() {
    let pool = evenkeel::Pool::of_addresses(["nobody.invalid:80"]).unwrap();
    let unknown = service_fn(async |_name: Name| {
        Err::<std::iter::Empty<SocketAddr>, _>(io::Error::other("nobody"))
    });
    let connector = HttpConnector::new_with_resolver(unknown);
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let client = client.map_err(told);
    let client = BalanceLayer::round_robin(pool).layer(client);
    let request = Request::post("/")
        .body(Full::new(Bytes::from("text")))
        .unwrap();
    let error = client.oneshot(request).await.err().unwrap();
    assert_eq!(error.failure(), Some(Failure::Connect));
    assert!(error.never_left());
    let told = error.source().unwrap();
    assert_eq!(told.to_string(), "the client reports: no connection");
    assert!(told.source().unwrap().is::<Error>());
}

#[tokio::test]
async fn the_stack_over_it_answers_whatever_method_there_is() {
    let a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let client = Client::builder(TokioExecutor::new()).build_http();
    let client = recommended(BalanceLayer::least_requests(pool.clone()).layer(client));
    for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
        let request = Request::builder().method(method).uri("/name");
        let request = request.body(Empty::<Bytes>::new()).unwrap();
        let response = client.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{method}");
    }
    idle(&pool).await;
}
