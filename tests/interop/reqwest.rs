//! reqwest's client, by its adapter.

use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use evenkeel::backend::{Failure, Outcome};
use evenkeel::balance::{Balance, ClientError};
use evenkeel::http::{
    Address, BalanceLayer, OnBodyEnd, ReplayBody, ReqwestClient, Via, recommended,
};
use evenkeel::picker::Ordered;
use evenkeel::{Error, Pool};
use http::{HeaderMap, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use reqwest::ClientBuilder;
use reqwest::dns::{Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tower::{Layer, ServiceExt};

use crate::servers::{Server, app, breaking, count, counts, idle, in_flight, nobody, pool, silent};

fn settings() -> ClientBuilder {
    reqwest::Client::builder()
        .redirect(Policy::none())
        .retry(reqwest::retry::never())
}

/// In the order in which they joined.
fn ordered<B: 'static>(
    pool: &Pool<Address>,
    client: ClientBuilder,
) -> Balance<Address, Request<B>, Via<ReqwestClient>, OnBodyEnd> {
    let client = ReqwestClient::new(client.build().expect("valid settings"));
    BalanceLayer::new(pool.clone(), Ordered::new()).layer(client)
}

struct KnowsNobody;

impl Resolve for KnowsNobody {
    fn resolve(&self, _name: Name) -> Resolving {
        Box::pin(async { Err("nobody has this name".into()) })
    }
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    let uri = format!("http://shop.example{path}");
    Request::get(uri).body(Empty::new()).expect("a request")
}

fn post(path: &str) -> Request<Full<Bytes>> {
    let uri = format!("http://shop.example{path}");
    let body = Full::new(Bytes::from_static(b"text"));
    Request::post(uri).body(body).expect("a request")
}

#[tokio::test]
async fn bodies_stream_in_both_directions() {
    let a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let _watching = count(&pool);
    let client = ordered(&pool, settings());
    let parts =
        ["one, ", "two"].map(|part| Ok::<_, std::io::Error>(Frame::data(Bytes::from(part))));
    let body = StreamBody::new(tokio_stream::iter(parts));
    let request = Request::post("http://shop.example/echo")
        .body(body)
        .unwrap();
    let response = client.oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "one, two");
    idle(&pool).await;
    assert_eq!(counts(&pool, "a").successes(), 1);
}

#[tokio::test]
async fn trailers_arrive_and_end_the_request() {
    let a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let mut request = get("/trailers");
    // Without it a server keeps them to itself.
    request
        .headers_mut()
        .insert("te", "trailers".parse().unwrap());
    let response = ordered(&pool, settings()).oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(
        body.trailers()
            .map(|trailers| &trailers["checksum"])
            .unwrap(),
        "42"
    );
    assert_eq!(in_flight(&pool, "a"), 0);
}

/// And those of an upload, which the server is to get.
#[tokio::test]
async fn a_request_body_keeps_its_trailers() {
    let a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let mut trailers = HeaderMap::new();
    trailers.insert("checksum", "43".parse().unwrap());
    let frames = [Frame::data(Bytes::from("text")), Frame::trailers(trailers)];
    let frames = frames.map(Ok::<_, std::io::Error>);
    let request = Request::post("http://shop.example/echo")
        .header("te", "trailers")
        .header("trailer", "checksum")
        .body(StreamBody::new(tokio_stream::iter(frames)));
    let client = ordered(&pool, settings());
    let response = client.oneshot(request.unwrap()).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    let trailers = body.trailers().expect("they are sent back");
    assert_eq!(trailers["checksum"], "43");
    assert_eq!(body.to_bytes(), "text");
}

#[tokio::test]
async fn a_body_that_is_dropped_is_cancelled_and_counted_until_then() {
    let a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let _watching = count(&pool);
    let response = ordered(&pool, settings())
        .oneshot(get("/held"))
        .await
        .unwrap();
    let mut body = response.into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
    assert_eq!(in_flight(&pool, "a"), 1);
    drop(body);
    assert_eq!(in_flight(&pool, "a"), 0);
    assert_eq!(counts(&pool, "a").cancelled(), 1);
}

#[tokio::test]
async fn a_backend_that_dies_while_it_answers_has_failed() {
    let mut a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let _watching = count(&pool);
    let response = ordered(&pool, settings())
        .oneshot(get("/held"))
        .await
        .unwrap();
    let mut body = response.into_body();
    body.frame().await.unwrap().unwrap();
    a.kill();
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(in_flight(&pool, "a"), 0);
    assert_eq!(counts(&pool, "a").failures(), 1);
}

#[tokio::test]
async fn a_refused_connection_never_left() {
    let (_held, gone) = nobody();
    let pool = pool([("gone", gone)]);
    let error = ordered(&pool, settings())
        .oneshot(post("/echo"))
        .await
        .err()
        .unwrap();
    assert_eq!(error.failure(), Some(Failure::Connect));
    assert!(error.never_left());
}

/// Of its causes none says that it is about a connection.
#[tokio::test]
async fn a_name_that_nobody_knows_is_no_connection_either() {
    let pool = Pool::of_addresses(["nobody.invalid:80"]).unwrap();
    let settings = settings().dns_resolver(Arc::new(KnowsNobody));
    let error = ordered(&pool, settings)
        .oneshot(post("/echo"))
        .await
        .err()
        .unwrap();
    assert_eq!(error.failure(), Some(Failure::Connect));
    assert!(error.never_left());
}

#[tokio::test]
async fn a_time_out_of_the_client_is_one_and_may_have_left() {
    let silent = silent().await;
    let pool = pool([("silent", silent)]);
    let settings = settings().timeout(Duration::from_millis(50));
    let error = ordered(&pool, settings)
        .oneshot(post("/echo"))
        .await
        .err()
        .unwrap();
    assert_eq!(error.failure(), Some(Failure::Timeout));
    assert!(!error.never_left());
    let Error::Backend { source, .. } = &error else {
        panic!("{error:?}")
    };
    let told = source.downcast_ref::<ClientError>().unwrap();
    assert_eq!(told.outcome(), Outcome::Failure(Failure::Timeout));
    let cause = told
        .source()
        .and_then(|cause| cause.downcast_ref::<reqwest::Error>());
    assert!(cause.unwrap().is_timeout());
}

#[tokio::test]
async fn a_connection_that_breaks_may_have_left_and_is_no_time_out() {
    let pool = pool([("a", breaking().await)]);
    let client = ordered(&pool, settings());
    let error = client.oneshot(get("/name")).await.err().unwrap();
    assert_eq!(error.failure(), Some(Failure::Other));
    assert!(!error.never_left());
    assert_eq!(in_flight(&pool, "a"), 0);
}

/// Behind a balance it is always one.
#[tokio::test]
async fn a_request_that_cannot_be_one_is_held_against_nobody() {
    let client = ReqwestClient::new(reqwest::Client::new());
    let request = Request::get("/").body(Empty::<Bytes>::new()).unwrap();
    let error = client.oneshot(request).await.unwrap_err();
    assert_eq!(error.outcome(), Outcome::Cancelled);
}

#[tokio::test]
async fn a_redirect_comes_to_the_caller() {
    let a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let response = ordered(&pool, settings())
        .oneshot(get("/elsewhere"))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(response.headers()["location"], "/name");
}

/// Though a POST is not safe to be sent again: it never left.
#[tokio::test]
async fn the_recommended_stack_sends_a_post_elsewhere_if_there_was_no_connection() {
    let (a, (_held, gone)) = (Server::start(app("a")), nobody());
    let pool = pool([("gone", gone), ("a", a.address())]);
    let balance: Balance<_, Request<ReplayBody<_>>, _, _> = ordered(&pool, settings());
    let response = recommended(balance).oneshot(post("/echo")).await.unwrap();
    let [first] = response.body().get_ref().attempts() else {
        panic!("{:?}", response.body().get_ref().attempts())
    };
    assert_eq!(first.outcome(), Outcome::Failure(Failure::Connect));
    assert_eq!(
        response.into_body().collect().await.unwrap().to_bytes(),
        "text"
    );
    idle(&pool).await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_held_against_nobody() {
    let a = Server::start(app("a"));
    let pool = pool([("a", a.address())]);
    let balance: Balance<_, Request<ReplayBody<_>>, _, _> = ordered(&pool, settings());
    let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
    let frames = [Ok(Frame::data(Bytes::from("half"))), Err(refused)];
    let body = StreamBody::new(tokio_stream::iter(frames));
    let request = Request::put("http://shop.example/echo").body(body).unwrap();
    let error = recommended(balance).oneshot(request).await.err().unwrap();
    assert!(!error.never_left());
    assert_eq!(error.attempts().len(), 1);
    assert_eq!(error.attempts()[0].outcome(), Outcome::Cancelled);
    idle(&pool).await;
    assert_eq!(counts(&pool, "a").failures(), 0);
}
