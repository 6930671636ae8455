//! `GrpcOutcomes`.

use evenkeel::backend::Outcome;
use evenkeel::http::{GrpcOutcomes, HttpOutcomes};

use crate::setup::{BODY, Broke, Frames, GATEWAY, RESPONSE, Setup, TIMEOUT, response};

/// As in the table of its documentation.
const CODES: [(&str, Outcome); 21] = [
    ("0", Outcome::Success),
    ("1", Outcome::Cancelled),
    ("2", RESPONSE),
    ("3", Outcome::Success),
    ("4", TIMEOUT),
    ("5", Outcome::Success),
    ("6", Outcome::Success),
    ("7", Outcome::Success),
    ("8", Outcome::Rejected),
    ("9", Outcome::Success),
    ("10", Outcome::Success),
    ("11", Outcome::Success),
    ("12", Outcome::Success),
    ("13", RESPONSE),
    ("14", GATEWAY),
    ("15", RESPONSE),
    ("16", Outcome::Success),
    ("17", RESPONSE),
    ("-1", RESPONSE),
    ("OK", RESPONSE),
    ("", RESPONSE),
];

fn setup() -> Setup<GrpcOutcomes> {
    Setup::new(GrpcOutcomes::new())
}

fn message() -> Frames {
    Frames::new().data("message")
}

#[tokio::test]
async fn the_status_in_the_trailers_is_the_outcome() {
    let setup = setup();
    for (code, expected) in CODES {
        let body = message().trailers(&[("grpc-status", code)]);
        let outcome = setup.read(response(200, &[], body)).await;
        assert_eq!(outcome, expected, "{code:?}");
    }
}

#[tokio::test]
async fn the_status_of_a_response_without_a_body_is_in_its_head_and_known_at_once() {
    for (code, expected) in CODES {
        let setup = setup();
        let head = [("grpc-status", code)];
        let _body = setup.open(response(200, &head, Frames::new())).await;
        assert_eq!(setup.heads(), [expected], "{code:?}");

        let setup = self::setup();
        let ended = response(200, &head, Frames::new().knowing());
        assert_eq!(setup.drop_after(0, ended).await, expected, "{code:?}");
    }
}

#[tokio::test]
async fn what_ends_without_a_status_has_failed() {
    let setup = setup();
    for body in [
        message(),
        Frames::new(),
        message().trailers(&[]),
        message().trailers(&[("grpc-message", "0")]),
    ] {
        assert_eq!(setup.read(response(200, &[], body)).await, RESPONSE);
    }
    let known = response(200, &[], message().knowing());
    assert_eq!(setup.drop_after(1, known).await, RESPONSE);
    let empty = response(200, &[], Frames::new().knowing());
    assert_eq!(setup.drop_after(0, empty).await, RESPONSE);
}

#[tokio::test]
async fn what_is_no_answer_of_grpc_goes_by_the_http_status() {
    let (grpc, http) = (setup(), Setup::new(HttpOutcomes::new()));
    for status in 201..=599 {
        let expected = http.read(response(status, &[], message())).await;
        let outcome = grpc.read(response(status, &[], message())).await;
        assert_eq!(outcome, expected, "{status}");
    }
}

#[tokio::test]
async fn a_grpc_status_wins_over_the_http_status() {
    let setup = setup();
    let head = [("grpc-status", "8")];
    let outcome = setup.read(response(503, &head, message())).await;
    assert_eq!(outcome, Outcome::Rejected);
}

#[tokio::test]
async fn a_known_length_does_not_end_a_response_before_its_trailers() {
    let setup = setup();
    for length in ["7", "0"] {
        let body = message().trailers(&[("grpc-status", "14")]);
        let sized = response(200, &[("content-length", length)], body);
        assert_eq!(setup.read(sized).await, GATEWAY, "{length}");
    }
}

#[tokio::test]
async fn a_stream_that_is_dropped_before_its_trailers_is_cancelled() {
    let setup = setup();
    for frames in 0..=2 {
        let body = message().data("another").trailers(&[("grpc-status", "0")]);
        let outcome = setup.drop_after(frames, response(200, &[], body)).await;
        assert_eq!(outcome, Outcome::Cancelled, "after {frames}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_before_its_trailers_is_a_failure() {
    let setup = setup();
    let broken = response(200, &[], message().error(Broke));
    assert_eq!(setup.read(broken).await, BODY);
}
