use std::error::Error as _;
use std::time::Duration;

use evenkeel::http::{HttpResponsesLayer, error_of};
use evenkeel::limit::Overloaded;
use evenkeel::{Backend, Balance, Error};
use http::{Request, Response, StatusCode};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

use crate::setup::{Works, limit, settle};

fn overloaded(error: &BoxError) -> &Overloaded {
    error.downcast_ref().expect("an Overloaded")
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_is_told_for_how_long() {
    let works = Works::new();
    let layer = limit(2).retry_after(Duration::from_secs(7));
    let mut service = layer.layer(works.clone());
    let _held = [service.call(0), service.call(1)];
    let start = Instant::now();
    let error = service.call(2).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_millis(1002));
    assert_eq!(
        error.to_string(),
        "overloaded: 2 requests in flight and 0 in the queue, waited 1.000 s"
    );
    let error = overloaded(&error);
    assert_eq!(error.waited(), Duration::from_secs(1));
    assert_eq!(error.retry_after(), Duration::from_secs(7));
    assert_eq!((error.max_in_flight(), error.queued()), (Some(2), 0));
    assert_eq!((layer.in_flight(), layer.queued()), (2, 0));
    assert_eq!(works.order(), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once_newest_first_too() {
    for layer in [limit(1).queue(2), limit(1).queue(2).newest_first()] {
        let works = Works::new();
        let mut service = layer.layer(works.clone());
        let _held = service.call(0);
        let waiting = [1, 2].map(|request| tokio::spawn(service.call(request)));
        settle().await;
        let start = Instant::now();
        let error = service.call(3).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(
            error.to_string(),
            "overloaded: 1 request in flight and 2 in the queue"
        );
        assert_eq!(overloaded(&error).waited(), Duration::ZERO);
        assert_eq!(layer.queued(), 2);
        for waiting in waiting {
            waiting.abort();
            assert!(waiting.await.unwrap_err().is_cancelled());
        }
        assert_eq!(layer.queued(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_queue_or_without_time_nobody_waits() {
    for layer in [limit(1).queue(0), limit(1).max_wait(Duration::ZERO)] {
        let mut service = layer.layer(Works::new());
        let _held = service.call(0);
        let start = Instant::now();
        let error = service.call(1).await.unwrap_err();
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(
            error.to_string(),
            "overloaded: 1 request in flight and 0 in the queue"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn room_at_the_last_moment_is_taken() {
    let works = Works::new();
    let mut service = limit(1).layer(works.clone());
    let held = service.call(0);
    let waiting = service.call(1);
    let both = async {
        let last = Duration::from_millis(999);
        tokio::time::sleep(last).await;
        drop(held);
        works.end(1).await;
    };
    assert_eq!(tokio::join!(waiting, both).0.unwrap(), 1);
}

type Body = Response<String>;

fn hangs() -> Balance<
    impl Clone + Send + Sync + Service<Request<()>, Response = Body, Error = BoxError, Future: Send>,
    Request<()>,
> {
    let service = service_fn(|_: Request<()>| async {
        std::future::pending::<()>().await;
        Ok::<Body, BoxError>(Response::default())
    });
    Balance::round_robin([Backend::new("a", service)])
}

#[tokio::test(start_paused = true)]
async fn around_a_balance_it_is_one_of_its_errors() {
    let layer = limit(1).queue(0).retry_after(Duration::from_secs(3));
    let mut service = layer.layer(hangs());
    let _held = service.call(Request::new(()));
    let error = service.call(Request::new(())).await.unwrap_err();
    assert!(error.is_overloaded() && !error.is_no_backend());
    assert_eq!(
        error.to_string(),
        "overloaded: 1 request in flight and 0 in the queue"
    );
    assert!(error.source().is_none());
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));
    assert_eq!((error.failure(), error.backend()), (None, None));
}

#[tokio::test(start_paused = true)]
async fn as_a_response_it_is_a_503_that_says_when_to_try_again() {
    let layer = limit(1).queue(0).retry_after(Duration::from_millis(2500));
    let responses = HttpResponsesLayer::new().retry_after(Duration::from_secs(60));
    let mut balance = layer.layer(hangs());
    let _held = balance.call(Request::new(()));

    // As this crate's error, and by itself in another.
    let ours = responses.layer(balance);
    let boxed = responses.layer(layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, BoxError>(Response::new(String::new()))
    })));
    let ours = ours.oneshot(Request::new(())).await.unwrap();
    let boxed = boxed.oneshot(Request::new(())).await.unwrap();
    assert!(error_of(&ours).unwrap().is::<Error>());
    assert!(error_of(&boxed).unwrap().is::<Overloaded>());
    for response in [ours.map(drop), boxed.map(drop)] {
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "3");
    }
}
