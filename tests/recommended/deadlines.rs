//! How long a request and its attempts have.

use std::time::Duration;

use bytes::Bytes;
use evenkeel::deadline::Deadline;
use evenkeel::http::recommended;
use http::Request;
use http_body_util::Empty;
use tokio::time::{Instant, sleep};
use tower::ServiceExt;

use crate::setup::{Does, World, empty, get, ms, secs};

type OfGets = World<Empty<Bytes>>;

/// gRPC's header bounds the whole call, and a response may take as long as it likes.
#[tokio::test(start_paused = true)]
async fn backends_are_told_no_deadline_that_the_caller_has_not_set() {
    let world = OfGets::new([("a", Does::Answers)]);
    let service = recommended(world.ordered());
    let grpc = || Request::post("/watch").header("content-type", "application/grpc");
    service.clone().oneshot(empty(grpc())).await.unwrap();
    assert_eq!(world.timeout_told(), None);

    service.clone().oneshot(get()).await.unwrap();
    assert_eq!(world.timeout_told(), None);

    let own = grpc().header("grpc-timeout", "7S");
    service.clone().oneshot(empty(own)).await.unwrap();
    assert_eq!(world.timeout_told().as_deref(), Some("7000000u"));

    let own = grpc().extension(Deadline::after(secs(7)));
    service.oneshot(empty(own)).await.unwrap();
    assert_eq!(world.timeout_told().as_deref(), Some("7000000u"));
}

/// The total time is for the head of the response.
#[tokio::test(start_paused = true)]
async fn backends_are_not_told_less_time_than_the_caller_has_set() {
    let world = OfGets::new([("a", Does::Answers)]);
    let service = recommended(world.ordered());
    let grpc = Request::post("/watch").header("content-type", "application/grpc");
    let own = grpc.header("grpc-timeout", "60S");
    service.oneshot(empty(own)).await.unwrap();
    assert_eq!(world.timeout_told().as_deref(), Some("60000000u"));
}

#[tokio::test(start_paused = true)]
async fn an_attempt_has_five_seconds_unless_it_is_told_otherwise() {
    for (timeout, answers_after, answered) in [
        (None, 4_999, true),
        (None, 5_001, false),
        (Some(secs(8)), 7_999, true),
        (Some(secs(8)), 8_001, false),
        (Some(Duration::MAX), 29_999, true),
    ] {
        let world = OfGets::new([("a", Does::AnswersAfter(ms(answers_after)))]);
        let balance = match timeout {
            Some(timeout) => world.ordered().attempt_timeout(timeout),
            None => world.ordered(),
        };
        let result = recommended(balance).oneshot(get()).await;
        assert_eq!(result.is_ok(), answered, "{timeout:?} {answers_after} ms");
    }
}

/// In the queue before the stack's limit, which is full until the first second is nearly over.
async fn asked_when_full(
    request: impl FnOnce() -> http::request::Builder,
) -> (OfGets, bool, Duration) {
    let world = OfGets::new([("a", Does::AnswersAfter(ms(900)))]);
    let service = recommended(world.ordered());
    for _ in 0..1024 {
        tokio::spawn(service.clone().oneshot(get()));
    }
    sleep(ms(100)).await;
    assert_eq!(world.asked().len(), 1024);
    let began = Instant::now();
    let result = service.oneshot(empty(request())).await;
    (world, result.is_ok(), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_the_limit_no_longer_than_its_deadline() {
    let told: [fn() -> http::request::Builder; 2] = [
        || Request::get("/").header("grpc-timeout", "200m"),
        || Request::get("/").extension(Deadline::after(ms(200))),
    ];
    for request in told {
        let (world, ok, took) = asked_when_full(request).await;
        assert!(!ok);
        assert_eq!(took, ms(200));
        sleep(secs(2)).await;
        assert!(world.asked().is_empty(), "nobody got it afterwards");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_is_told_the_time_that_is_left_after_the_limit() {
    let request = || Request::get("/").header("grpc-timeout", "1000m");
    let (world, ok, took) = asked_when_full(request).await;
    assert!(!ok, "there were 200 ms left of 900");
    assert_eq!(took, secs(1));
    assert_eq!(world.timeout_told().as_deref(), Some("200000u"));
}
