//! Classifiers of one's own.

use std::any::Any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use evenkeel::backend::{Failure, Outcome};
use evenkeel::http::{BalanceLayer, Classify, GrpcOutcomes, HttpOutcomes, OnBodyEnd, Verdict};
use evenkeel::{BackendSet, Pool};
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::setup::{BODY, Broke, Frames, GATEWAY, RESPONSE, Setup, response};

fn text() -> Frames {
    Frames::new().data("text")
}

#[tokio::test]
async fn a_closure_decides_at_the_head() {
    let setup = Setup::new(|head: &Response<()>| match head.status() {
        StatusCode::NOT_FOUND => Verdict::Final(RESPONSE),
        StatusCode::ACCEPTED => Verdict::Final(Outcome::Success),
        _ => Verdict::Good,
    });
    let outcome = setup.read(response(404, &[], text())).await;
    assert_eq!(outcome, RESPONSE);
    let outcome = setup.read(response(500, &[], text())).await;
    assert_eq!(outcome, Outcome::Success);
    let broken = response(202, &[], text().error(Broke));
    assert_eq!(setup.read(broken).await, Outcome::Success, "it was final");
    let open = response(202, &[], text());
    assert_eq!(setup.drop_after(0, open).await, Outcome::Success);
}

/// The trailers have to repeat what the head says.
#[derive(Clone, Default)]
struct Repeats {
    head: String,
    asked: Arc<AtomicUsize>,
}

impl Classify for Repeats {
    fn head(&mut self, head: &Response<()>) -> Verdict {
        match head.headers().get("etag") {
            None => Verdict::Good,
            Some(value) => {
                value.to_str().unwrap().clone_into(&mut self.head);
                Verdict::InTrailers
            }
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Outcome {
        self.asked.fetch_add(1, Ordering::Relaxed);
        match trailers.and_then(|trailers| trailers.get("etag")) {
            Some(value) if *value == *self.head => Outcome::Success,
            Some(_) => RESPONSE,
            None => GATEWAY,
        }
    }
}

#[tokio::test]
async fn what_was_seen_of_the_head_is_there_at_the_end() {
    let setup = Setup::new(Repeats::default());
    let etag = |value| [("etag", value)];
    for (head, trailers, expected) in [("1", "1", Outcome::Success), ("1", "2", RESPONSE)] {
        let body = text().trailers(&etag(trailers));
        let outcome = setup.read(response(200, &etag(head), body)).await;
        assert_eq!(outcome, expected);
    }
    let outcome = setup.read(response(200, &etag("1"), text())).await;
    assert_eq!(outcome, GATEWAY);
}

#[tokio::test]
async fn the_end_is_asked_about_once_and_only_if_the_head_said_so() {
    let classify = Repeats::default();
    let asked = Arc::clone(&classify.asked);
    let times = || asked.swap(0, Ordering::Relaxed);
    let setup = Setup::new(classify);
    let etag = [("etag", "1")];

    setup.read(response(200, &etag, text().knowing())).await;
    assert_eq!(times(), 1);
    let body = text().trailers(&etag).knowing();
    setup.read(response(200, &etag, body)).await;
    assert_eq!(times(), 1);
    setup.read(response(200, &[], text().trailers(&etag))).await;
    assert_eq!(times(), 0, "not for a good head");
    setup.read(response(200, &etag, text().error(Broke))).await;
    assert_eq!(times(), 0, "not for a body that broke off");
    setup.drop_after(1, response(200, &etag, text())).await;
    assert_eq!(times(), 0, "not for one that was dropped");
}

#[tokio::test]
async fn how_a_body_broke_off_can_be_looked_at() {
    /// The caller's own doing.
    #[derive(Clone)]
    struct Breaks;

    impl Classify for Breaks {
        fn head(&mut self, _head: &Response<()>) -> Verdict {
            Verdict::Good
        }

        fn body_error(&mut self, error: &dyn Any) -> Outcome {
            let boxed = error.downcast_ref::<BoxError>();
            match error.downcast_ref() {
                Some(Broke) => Outcome::Cancelled,
                None if boxed.is_some_and(|error| error.is::<Broke>()) => Outcome::Rejected,
                None => BODY,
            }
        }
    }

    let setup = Setup::new(Breaks);
    let broken = response(200, &[], text().error(Broke));
    assert_eq!(setup.read(broken).await, Outcome::Cancelled);

    let setup = Setup::tracking(OnBodyEnd::new().classify(Breaks));
    let broken = |error: BoxError| response(200, &[], Frames::new().error(error));
    assert_eq!(setup.read(broken(Broke.into())).await, Outcome::Rejected);
    let broken = broken("otherwise".into());
    assert_eq!(setup.read(broken).await, BODY);
}

/// Takes down where it is asked for a wait.
#[derive(Clone)]
struct Waits<C>(C, Asked);

type Asked = Arc<Mutex<Vec<Option<Duration>>>>;

impl<C: Classify> Classify for Waits<C> {
    fn head(&mut self, head: &Response<()>) -> Verdict {
        self.0.head(head)
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Outcome {
        self.0.end(trailers)
    }

    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let after = self.0.retry_after(headers);
        self.1.lock().unwrap().push(after);
        after
    }
}

#[tokio::test]
async fn who_refuses_or_is_not_available_is_asked_for_how_long() {
    let waits = Asked::default();
    let asked = || std::mem::take(&mut *waits.lock().unwrap());
    let seconds = |count| Some(Duration::from_secs(count));
    let after = [("retry-after", "7")];

    let setup = Setup::new(Waits(HttpOutcomes::new(), Arc::clone(&waits)));
    for status in [429, 502, 503, 504] {
        setup.read(response(status, &after, text())).await;
        assert_eq!(asked(), [seconds(7)], "{status}");
    }
    for status in [200, 301, 404, 500] {
        setup.read(response(status, &after, text())).await;
        assert_eq!(asked(), [], "{status}");
    }

    let setup = Setup::new(Waits(GrpcOutcomes::new(), Arc::clone(&waits)));
    let pushback = |code| [("grpc-status", code), ("grpc-retry-pushback-ms", "7000")];
    for code in ["8", "14"] {
        setup.read(response(200, &pushback(code), text())).await;
        assert_eq!(asked(), [seconds(7)], "{code} in the head");
        let body = text().trailers(&pushback(code));
        setup.read(response(200, &[], body)).await;
        assert_eq!(asked(), [seconds(7)], "{code} in the trailers");
    }
    for code in ["0", "4", "13"] {
        let body = text().trailers(&pushback(code));
        setup.read(response(200, &[], body)).await;
        assert_eq!(asked(), [], "{code}");
    }
}

#[tokio::test]
async fn a_degraded_header_leaves_the_rest_to_the_classifier() {
    let name = HeaderName::from_static("degraded");
    let setup = Setup::new(GrpcOutcomes::new().degraded_header(name));
    let body = text().trailers(&[("grpc-status", "14")]);
    let outcome = setup.read(response(200, &[("degraded", "")], body)).await;
    assert_eq!(outcome, GATEWAY);
}

#[tokio::test]
async fn a_layer_has_the_classifier_that_it_was_given() {
    let pool = Pool::of_addresses(["10.0.0.1:80"]).unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let picker = |set: &dyn BackendSet, _: &Request<()>, _: &mut evenkeel::picker::Context| {
        (!set.is_empty()).then_some(0)
    };
    let classify = {
        let seen = Arc::clone(&seen);
        move |head: &Response<()>| {
            seen.lock().unwrap().push(head.status());
            Verdict::Final(Outcome::Failure(Failure::Other))
        }
    };
    let layer = BalanceLayer::new(pool, picker).classify(classify);
    let client = service_fn(|_request: Request<()>| async {
        Ok::<_, std::io::Error>(Response::new(String::new()))
    });
    // Of the layer's clones and the services' clones, too.
    let service = layer.clone().layer(client).clone();
    drop(service.oneshot(Request::new(())).await);
    assert_eq!(*seen.lock().unwrap(), [StatusCode::OK]);
}
