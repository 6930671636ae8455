//! What a layer inside a backend's service refuses is no failure of the backend.

use std::future::pending;
use std::io;
use std::time::Duration;

use ::http::{Request, Response};
use bytes::Bytes;
use evenkeel::backend::{Failure, Outcome};
use evenkeel::deadline::DeadlineLayer;
use evenkeel::http::HttpDeadline;
use evenkeel::limit::LimitLayer;
use evenkeel::retry::RetryLayer;
use evenkeel::{Backend, Balance, Error, Pool};
use http_body_util::Empty;
use tower::{BoxError, Layer, ServiceExt, service_fn};

type Ask = Request<Empty<Bytes>>;

/// Of the attempt that has failed, of which there must be one.
fn outcome(error: &Error) -> Outcome {
    let [attempt] = error.attempts() else {
        panic!("{error}: {:?}", error.attempts())
    };
    attempt.outcome()
}

#[tokio::test(start_paused = true)]
async fn a_clients_deadline_is_not_held_against_the_backend() {
    let hangs = service_fn(|_request: Ask| pending::<Result<Response<Empty<Bytes>>, BoxError>>());
    let inside = DeadlineLayer::inherited(HttpDeadline).layer(hangs);
    let pool = Pool::from([Backend::new("a", inside)]);
    // However the response is tracked.
    let by_body = Balance::round_robin(pool.clone()).count_to_body_end();
    let by_head = Balance::round_robin(pool);
    let ask = || Request::get("/").header("grpc-timeout", "1m");
    let ask = || ask().body(Empty::<Bytes>::new()).unwrap();
    let error = by_body.oneshot(ask()).await.err().unwrap();
    assert_eq!(outcome(&error), Outcome::Cancelled);
    let error = by_head.oneshot(ask()).await.err().unwrap();
    assert_eq!(outcome(&error), Outcome::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn what_a_limit_inside_turns_away_is_not_held_against_the_backend() {
    let hangs = service_fn(|_request: u64| pending::<Result<(), BoxError>>());
    let inside = LimitLayer::new(1).unwrap().queue(0).layer(hangs);
    let pool = Pool::from([Backend::new("a", inside)]);
    let balance = Balance::round_robin(pool);
    let _busy = tokio::spawn(balance.clone().oneshot(1));
    tokio::task::yield_now().await;
    let error = balance.oneshot(1).await.unwrap_err();
    assert_eq!(outcome(&error), Outcome::Rejected);
}

/// It never left, so even one that is not safe may go to another backend.
#[tokio::test(start_paused = true)]
async fn what_a_limit_inside_turns_away_goes_to_another_backend() {
    let inside = |name| {
        let hangs = service_fn(move |ends: bool| async move {
            if !ends {
                pending::<()>().await;
            }
            Ok::<_, BoxError>(name)
        });
        LimitLayer::new(1).unwrap().queue(0).layer(hangs)
    };
    let pool = Pool::from(["a", "b"].map(|name| Backend::new(name, inside(name))));
    let balance = Balance::new(pool.clone(), evenkeel::picker::Ordered::new());
    let _busy = tokio::spawn(balance.clone().oneshot(false));
    tokio::task::yield_now().await;
    let retry = RetryLayer::new(|_request: &bool| false).layer(balance);
    assert_eq!(retry.oneshot(true).await.unwrap(), "b");
}

/// A cluster in a cluster.
#[tokio::test(start_paused = true)]
async fn a_balance_inside_says_itself_what_its_errors_mean() {
    let inner = |kind: Option<io::ErrorKind>| {
        let service = service_fn(move |_request: u64| async move {
            match kind {
                Some(kind) => Err(io::Error::from(kind)),
                None => pending::<Result<(), _>>().await,
            }
        });
        let pool = Pool::from([Backend::new("inner", service).max_in_flight(1)]);
        Balance::round_robin(pool).max_wait(Duration::from_millis(10))
    };
    let fails = inner(Some(io::ErrorKind::ConnectionReset));
    let full = inner(None);
    let _busy = tokio::spawn(full.clone().oneshot(1));
    tokio::task::yield_now().await;
    let failed = Outcome::Failure(Failure::Other);
    for (inner, expected) in [(fails, failed), (full, Outcome::Rejected)] {
        let outer = Balance::round_robin([Backend::new("outer", inner)]);
        let error = outer.oneshot(1).await.unwrap_err();
        assert_eq!(outcome(&error), expected);
    }
    let late = DeadlineLayer::new(Duration::from_millis(5)).layer(inner(None));
    let outer = Balance::round_robin([Backend::new("outer", late)]);
    let error = outer.oneshot(1).await.unwrap_err();
    assert_eq!(outcome(&error), Outcome::Cancelled);
}
