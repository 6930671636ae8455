//! `TowerHttp` with tower-http's own classifiers.

use evenkeel::backend::{Failure, Outcome};
use evenkeel::http::{HttpOutcomes, TowerHttp};
use http_body_util::BodyExt;
use tower_http::classify::{
    ClassifyResponse, GrpcCode, GrpcErrorsAsFailures, ServerErrorsAsFailures,
    StatusInRangeAsFailures,
};

use crate::setup::{BODY, Broke, Frames, GATEWAY, RESPONSE, Setup, TIMEOUT, response};

fn text() -> Frames {
    Frames::new().data("text")
}

fn grpc() -> Setup<TowerHttp<GrpcErrorsAsFailures>> {
    Setup::new(TowerHttp::new(GrpcErrorsAsFailures::new()))
}

#[tokio::test]
async fn server_errors_are_failures_of_the_kind_that_their_status_says() {
    let setup = Setup::new(TowerHttp::new(ServerErrorsAsFailures::new()));
    let ours = Setup::new(HttpOutcomes::new());
    for status in 200..=599 {
        let expected = match status {
            429 => Outcome::Success,
            _ => ours.read(response(status, &[], text())).await,
        };
        let outcome = setup.read(response(status, &[], text())).await;
        assert_eq!(outcome, expected, "{status}");
    }
}

#[tokio::test]
async fn a_success_is_one_when_the_body_has_arrived_whole() {
    let setup = Setup::new(TowerHttp::new(ServerErrorsAsFailures::new()));
    let broken = response(200, &[], text().error(Broke));
    assert_eq!(setup.read(broken).await, BODY);
    let whole = response(200, &[], text());
    assert_eq!(setup.drop_after(1, whole).await, Outcome::Cancelled);
}

#[tokio::test]
async fn what_the_classifier_calls_a_failure_is_none_the_less_one() {
    let setup = Setup::new(TowerHttp::new(StatusInRangeAsFailures::new(400..=499)));
    for (status, expected) in [
        (200, Outcome::Success),
        (404, RESPONSE),
        (429, Outcome::Rejected),
        (503, Outcome::Success),
    ] {
        let outcome = setup.read(response(status, &[], text())).await;
        assert_eq!(outcome, expected, "{status}");
    }
}

#[tokio::test]
async fn grpc_errors_are_failures_of_the_kind_that_their_code_says() {
    let setup = grpc();
    for (code, expected) in [
        ("0", Outcome::Success),
        ("1", Outcome::Cancelled),
        ("2", RESPONSE),
        ("4", TIMEOUT),
        ("5", RESPONSE),
        ("8", Outcome::Rejected),
        ("14", GATEWAY),
        ("99", RESPONSE),
    ] {
        let pair = [("grpc-status", code)];
        let outcome = setup.read(response(200, &[], text().trailers(&pair))).await;
        assert_eq!(outcome, expected, "{code} in the trailers");
        let outcome = setup.read(response(200, &pair, Frames::new())).await;
        assert_eq!(outcome, expected, "{code} in the head");
    }
}

#[tokio::test]
async fn settings_of_the_classifier_count() {
    let grpc = GrpcErrorsAsFailures::new().with_success(GrpcCode::NotFound);
    let setup = Setup::new(TowerHttp::new(grpc));
    let body = text().trailers(&[("grpc-status", "5")]);
    let outcome = setup.read(response(200, &[], body)).await;
    assert_eq!(outcome, Outcome::Success);
}

#[tokio::test]
async fn without_a_grpc_status_it_is_the_success_that_the_classifier_calls_it() {
    let setup = grpc();
    for body in [text(), text().trailers(&[])] {
        let outcome = setup.read(response(200, &[], body)).await;
        assert_eq!(outcome, Outcome::Success);
    }
}

#[tokio::test]
async fn each_of_several_open_responses_has_its_own_end() {
    let setup = grpc();
    let stream = |code| {
        let body = text().trailers(&[("grpc-status", code)]);
        response(200, &[], body)
    };
    let mut bad = setup.open(stream("14")).await;
    let mut good = setup.open(stream("0")).await;
    let known = setup.open(response(200, &[("grpc-status", "13")], text()));
    drop(known.await);
    for body in [&mut good, &mut bad] {
        while body.frame().await.is_some() {}
    }
    assert_eq!(setup.ended(), [RESPONSE, Outcome::Success, GATEWAY]);
}

#[tokio::test]
async fn a_shared_classifier_is_taken_as_it_is() {
    let setup = Setup::new(TowerHttp::shared(&GrpcErrorsAsFailures::make_classifier()));
    let body = text().trailers(&[("grpc-status", "14")]);
    assert_eq!(setup.read(response(200, &[], body)).await, GATEWAY);
}

#[tokio::test]
async fn a_class_can_be_mapped_to_any_outcome() {
    let flat =
        GrpcErrorsAsFailures::new().map_failure_class(|_class| Outcome::Failure(Failure::Other));
    let setup = Setup::new(TowerHttp::new(flat));
    let body = text().trailers(&[("grpc-status", "14")]);
    let outcome = setup.read(response(200, &[], body)).await;
    assert_eq!(outcome, Outcome::Failure(Failure::Other));
}
