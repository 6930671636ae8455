//! What clients do with their uploads is no fault of the backends.

use std::io;

use bytes::Bytes;
use evenkeel::backend::{Failure, Outcome, State};
use evenkeel::http::{ByMethod, ReplayLayer, recommended};
use evenkeel::retry::RetryLayer;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceBuilder, ServiceExt};

use crate::setup::{Does, Upload, World, ms, secs};

fn upload(method: &Method, body: Upload) -> Request<Upload> {
    let head = Request::builder().method(method).uri("/");
    head.body(body).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn an_upload_may_take_longer_than_a_backend_has_to_answer() {
    let world = World::new([("a", Does::Answers), ("b", Does::Answers)]);
    let service = recommended(world.round_robin());
    for method in [Method::PUT, Method::POST] {
        for _ in 0..6 {
            let request = upload(&method, Upload::new(16, secs(1)));
            let response = service.clone().oneshot(request).await;
            let status = response.map(|response| response.status());
            assert!(matches!(status, Ok(StatusCode::OK)), "{method}: {status:?}");
            sleep(ms(100)).await;
        }
        assert_eq!(world.asked().len(), 6, "each was sent once");
    }
    assert_eq!(world.failures(), 0);
    for id in ["a", "b"] {
        assert_eq!(world.state(id), State::Healthy);
    }
}

/// It is as long as ever, but begins when the backend has all.
#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_after_a_slow_upload_is_left_in_time() {
    let world = World::new([("a", Does::Hangs), ("b", Does::Answers)]);
    let (service, began) = (recommended(world.ordered()), Instant::now());
    let request = upload(&Method::PUT, Upload::new(8, secs(1)));
    let response = service.oneshot(request).await.unwrap();
    assert_eq!(began.elapsed(), secs(8 + 5));
    assert_eq!(world.asked(), ["a", "b"]);
    let body = response.into_body();
    let [first] = body.get_ref().attempts() else {
        panic!("{:?}", body.get_ref().attempts())
    };
    assert_eq!(first.outcome(), Outcome::Failure(Failure::Timeout));
    assert_eq!(world.counts("a").failures(), 1);
}

/// Whenever it has had all, it has the whole time from then on.
#[tokio::test(start_paused = true)]
async fn a_slow_upload_takes_nothing_from_the_time_to_answer() {
    for (upload_takes, answers_after) in [(49, 4_900), (50, 2_000), (51, 4_900), (99, 2_000)] {
        let does = Does::AnswersAfter(ms(answers_after));
        let world = World::new([("a", does), ("b", Does::Answers)]);
        let (service, began) = (recommended(world.ordered()), Instant::now());
        let request = upload(&Method::PUT, Upload::new(upload_takes, ms(100)));
        service.oneshot(request).await.unwrap();
        let took = ms(100 * u64::from(upload_takes) + answers_after);
        assert_eq!((world.asked(), began.elapsed()), (vec!["a"], took));
        assert_eq!(world.failures(), 0);
    }
}

/// Nobody keeps it from reading: the client has sent all there is.
#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_read_what_is_there_is_left_in_time() {
    let world = World::new([("a", Does::Ignores), ("b", Does::Answers)]);
    let (service, began) = (recommended(world.ordered()), Instant::now());
    let request = Request::put("/").body(Full::new(Bytes::from_static(b"all of it")));
    service.oneshot(request.unwrap()).await.unwrap();
    assert_eq!(began.elapsed(), secs(5));
    assert_eq!(world.counts("a").failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_layers_put_together_by_hand_do_not_count_the_upload_either() {
    let world = World::new([("a", Does::Answers)]);
    let retry = RetryLayer::new(ByMethod::new()).layer(world.ordered().attempt_timeout(secs(1)));
    let service = ServiceBuilder::new()
        .layer(ReplayLayer::new())
        .service(retry);
    let request = upload(&Method::PUT, Upload::new(60, ms(100)));
    let result = service.oneshot(request).await;
    assert!(result.is_ok(), "{}", result.err().unwrap());
    assert_eq!(world.asked(), ["a"]);
}

/// Without a bound, whatever the client does, it would hold its room for ever.
#[tokio::test(start_paused = true)]
async fn an_upload_that_never_ends_is_ended_by_the_total_time() {
    let world = World::new([("a", Does::Answers), ("b", Does::Answers)]);
    let (service, began) = (recommended(world.ordered()), Instant::now());
    let request = upload(&Method::PUT, Upload::new(u32::MAX, secs(1)));
    let error = service.oneshot(request).await.err().unwrap();
    assert!(error.is_deadline_exceeded(), "{error}");
    assert_eq!(began.elapsed(), secs(30));
    assert_eq!(world.failures(), 0);
    assert!(world.pool.list().iter().all(|info| info.in_flight() == 0));
}

#[tokio::test(start_paused = true)]
async fn uploads_that_break_off_are_held_against_nobody_and_not_sent_again() {
    let world = World::new([("a", Does::Answers), ("b", Does::Answers)]);
    let service = recommended(world.round_robin());
    for method in [Method::POST, Method::PUT] {
        for _ in 0..12 {
            let request = upload(&method, Upload::new(1, ms(1)).breaking_off());
            let error = service.clone().oneshot(request).await.err().unwrap();
            let [attempt] = error.attempts() else {
                panic!("{method}: {:?}", error.attempts())
            };
            assert_eq!(attempt.outcome(), Outcome::Cancelled, "{method}");
            assert_eq!(world.asked().len(), 1, "{method}");
            sleep(ms(20)).await;
        }
    }
    assert_eq!(world.failures(), 0);
    for id in ["a", "b"] {
        assert_eq!(world.state(id), State::Healthy);
    }
}

/// It says so by an error of its own, of which the body knows nothing.
#[tokio::test(start_paused = true)]
async fn a_backend_that_breaks_an_upload_off_is_to_blame() {
    let world = World::new([("a", Does::Fails), ("b", Does::Answers)]);
    let service = recommended(world.ordered());
    let request = upload(&Method::PUT, Upload::new(5, ms(10)));
    service.oneshot(request).await.unwrap();
    assert_eq!(world.asked(), ["a", "b"]);
    assert_eq!(world.counts("a").failures(), 1);
}

/// The client's error can be the same as a connection's.
#[tokio::test(start_paused = true)]
async fn what_broke_an_upload_off_is_not_taken_for_the_backends_connection() {
    use http_body::Frame;
    use http_body_util::StreamBody;

    for kind in [
        io::ErrorKind::ConnectionRefused,
        io::ErrorKind::ConnectionReset,
        io::ErrorKind::TimedOut,
    ] {
        let world = World::new([("a", Does::Answers), ("b", Does::Answers)]);
        let service = recommended(world.ordered());
        let frames = [
            Ok(Frame::data(Bytes::from_static(b"half"))),
            Err(io::Error::from(kind)),
        ];
        let body = StreamBody::new(tokio_stream::iter(frames));
        let request = Request::post("/").body(body).unwrap();
        assert!(service.oneshot(request).await.is_err());
        assert_eq!(world.asked(), ["a"], "{kind}");
        assert_eq!(world.failures(), 0, "{kind}");
    }
}
