//! `HttpOutcomes`, the default.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use ::http::{HeaderName, Response, StatusCode};
use evenkeel::backend::Outcome;
use evenkeel::http::{Classify, HttpOutcomes, OnBodyEnd, Verdict};
use http_body_util::BodyExt;

use crate::setup::{BODY, Broke, Frames, GATEWAY, RESPONSE, Setup, response};

fn setup() -> Setup<HttpOutcomes> {
    Setup::tracking(OnBodyEnd::new())
}

fn text() -> Frames {
    Frames::new().data("text")
}

#[tokio::test]
async fn the_status_says_who_is_to_blame() {
    let setup = setup();
    for status in 200..=999 {
        let expected = match status {
            502..=504 => GATEWAY,
            500 | 501 | 505..=599 => RESPONSE,
            429 => Outcome::Rejected,
            _ => Outcome::Success,
        };
        let outcome = setup.read(response(status, &[], text())).await;
        assert_eq!(outcome, expected, "{status}");
    }
}

#[tokio::test]
async fn a_bad_head_is_known_at_once_and_stays_what_it_is() {
    for (status, expected) in [(500, RESPONSE), (503, GATEWAY), (429, Outcome::Rejected)] {
        let setup = setup();
        let body = setup.open(response(status, &[], text())).await;
        assert_eq!(setup.heads(), [expected]);
        assert_eq!(setup.ended(), [], "in flight to the end of the body");
        drop(body);
        assert_eq!(setup.ended(), [expected]);

        let setup = self::setup();
        assert_eq!(setup.read(response(status, &[], text())).await, expected);
        let broken = response(status, &[], text().error(Broke));
        assert_eq!(setup.read(broken).await, expected);
    }
}

#[tokio::test]
async fn a_good_head_is_provisional() {
    let setup = setup();
    let body = setup.open(response(200, &[], text())).await;
    assert_eq!(setup.heads(), [Outcome::Success]);
    assert_eq!(setup.ended(), []);
    drop(body);
    assert_eq!(setup.ended(), [Outcome::Cancelled]);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_a_failure() {
    let setup = setup();
    for broken in [Frames::new().error(Broke), text().error(Broke)] {
        assert_eq!(setup.read(response(200, &[], broken)).await, BODY);
    }
}

#[tokio::test]
async fn a_body_that_is_dropped_early_is_cancelled() {
    let setup = setup();
    for frames in 0..2 {
        let whole = response(200, &[], text().data("more"));
        let outcome = setup.drop_after(frames, whole).await;
        assert_eq!(outcome, Outcome::Cancelled, "after {frames}");
    }
}

#[tokio::test]
async fn an_end_that_is_known_needs_not_be_asked_for() {
    let setup = setup();
    let told = response(200, &[], text().knowing());
    assert_eq!(setup.drop_after(1, told).await, Outcome::Success);
    for empty in [
        response(200, &[], Frames::new().knowing()),
        response(200, &[("content-length", "0")], Frames::new()),
    ] {
        let setup = self::setup();
        let _held = setup.open(empty).await;
        assert_eq!(setup.ended(), [Outcome::Success]);
    }
}

#[tokio::test]
async fn an_end_that_becomes_known_after_the_last_frame_is_one_when_the_body_is_dropped() {
    let setup = setup();
    let know = Arc::default();
    let late = response(200, &[], text().knowing_when(&know));
    let mut body = setup.open(late).await;
    body.frame().await.unwrap().unwrap();
    assert_eq!(setup.ended(), []);
    know.store(true, Ordering::Relaxed);
    drop(body);
    assert_eq!(setup.ended(), [Outcome::Success]);
}

#[tokio::test]
async fn the_last_byte_of_a_known_length_is_the_end() {
    let setup = setup();
    let sized = response(200, &[("content-length", "8")], text().data("more"));
    let mut body = setup.open(sized).await;
    body.frame().await.unwrap().unwrap();
    assert_eq!(setup.ended(), []);
    body.frame().await.unwrap().unwrap();
    assert_eq!(setup.ended(), [Outcome::Success]);
}

#[tokio::test]
async fn trailers_are_the_end_whatever_they_say() {
    let setup = setup();
    let trailers = text().trailers(&[("grpc-status", "14")]);
    let outcome = setup.drop_after(2, response(200, &[], trailers)).await;
    assert_eq!(outcome, Outcome::Success);
}

#[tokio::test]
async fn with_latency_to_the_end_a_good_head_is_no_news_and_a_bad_one_is() {
    let setup = Setup::tracking(OnBodyEnd::new().latency_to_end());
    let _good = setup.open(response(200, &[], text())).await;
    assert_eq!(setup.heads(), []);
    let _bad = setup.open(response(503, &[], text())).await;
    assert_eq!(setup.heads(), [GATEWAY]);
}

#[test]
fn a_header_tells_that_a_backend_is_degraded_unless_it_says_that_it_is_not() {
    let name = HeaderName::from_static("x-envoy-degraded");
    let mut classify = HttpOutcomes::new().degraded_header(name.clone());
    for (value, degraded) in [("", true), ("true", true), ("False", false), ("0", false)] {
        let mut head = Response::new(());
        assert!(!classify.degraded(&head));
        head.headers_mut().insert(&name, value.parse().unwrap());
        assert_eq!(classify.degraded(&head), degraded, "{value:?}");
        assert!(!HttpOutcomes::new().degraded(&head), "only if it is set");
        assert_eq!(classify.head(&head), Verdict::Good, "it is no failure");
        *head.status_mut() = StatusCode::BAD_GATEWAY;
        assert_eq!(classify.head(&head), Verdict::Final(GATEWAY));
    }
}
