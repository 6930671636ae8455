//! How long a request is in flight, and how it ends, by what becomes of its response's body.

use axum::http::header::CONTENT_LENGTH;
use axum::http::{Method, StatusCode};
use evenkeel::backend::Outcome;
use http_body_util::BodyExt;

use crate::setup::Setup;

/// Each of these promises holds for a replica in the process and for one behind a connection.
macro_rules! promises {
    ($($name:ident,)+) => {
        mod in_process {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::setup::in_process().await).await;
            })+
        }

        mod proxied {
            $(#[tokio::test]
            async fn $name() {
                super::$name(crate::setup::proxied().await).await;
            })+
        }
    };
}

promises! {
    a_head_request_ends_without_a_body,
    a_204_ends_without_a_body,
    a_body_of_known_length_ends_with_its_last_byte,
    a_stream_of_known_length_has_ended_though_its_end_is_not_asked_for,
    a_chunked_body_ends_with_its_last_chunk,
    a_body_with_trailers_ends_with_them_and_they_arrive,
    a_streamed_body_is_in_flight_until_it_has_ended,
    a_body_that_is_dropped_early_is_cancelled,
    each_of_several_open_bodies_is_counted,
    a_connection_that_is_used_again_counts_each_request,
}

async fn a_head_request_ends_without_a_body<T: Clone>(setup: Setup<T>) {
    let response = setup.request(Method::HEAD, "/text").await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_LENGTH], "4");
    assert_eq!(setup.outcomes_when_idle().await, [Outcome::Success]);
}

async fn a_204_ends_without_a_body<T: Clone>(setup: Setup<T>) {
    let response = setup.get("/nothing").await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert_eq!(setup.outcomes_when_idle().await, [Outcome::Success]);
}

async fn a_body_of_known_length_ends_with_its_last_byte<T: Clone>(setup: Setup<T>) {
    let response = setup.get("/text").await;
    assert_eq!(response.headers()[CONTENT_LENGTH], "4");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "text");
    assert_eq!(setup.outcomes_when_idle().await, [Outcome::Success]);
}

async fn a_stream_of_known_length_has_ended_though_its_end_is_not_asked_for<T: Clone>(
    setup: Setup<T>,
) {
    // As from a file: the header tells the length, the body itself does not know that it has ended.
    let response = setup.get("/sized").await;
    assert_eq!(response.headers()[CONTENT_LENGTH], "8");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "one, two");
    assert_eq!(setup.outcomes_when_idle().await, [Outcome::Success]);
}

async fn a_chunked_body_ends_with_its_last_chunk<T: Clone>(setup: Setup<T>) {
    let response = setup.get("/chunks").await;
    assert!(!response.headers().contains_key(CONTENT_LENGTH));
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "one, two, three");
    assert_eq!(setup.outcomes_when_idle().await, [Outcome::Success]);
}

async fn a_body_with_trailers_ends_with_them_and_they_arrive<T: Clone>(setup: Setup<T>) {
    let response = setup.get("/trailers").await;
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["checksum"], "42");
    assert_eq!(body.to_bytes(), "data");
    assert_eq!(setup.outcomes_when_idle().await, [Outcome::Success]);
}

async fn a_streamed_body_is_in_flight_until_it_has_ended<T: Clone>(setup: Setup<T>) {
    let mut body = setup.get("/held").await.into_body();
    let first = body.frame().await.unwrap().unwrap();
    assert_eq!(first.into_data().unwrap(), "first");
    assert_eq!(setup.in_flight(), 1);

    setup.go_on.notify_one();
    let rest = body.collect().await.unwrap().to_bytes();
    assert_eq!(rest, "second");
    assert_eq!(setup.outcomes_when_idle().await, [Outcome::Success]);
}

async fn a_body_that_is_dropped_early_is_cancelled<T: Clone>(setup: Setup<T>) {
    let mut body = setup.get("/held").await.into_body();
    body.frame().await.unwrap().unwrap();
    assert_eq!(setup.in_flight(), 1);

    drop(body);
    assert_eq!(setup.outcomes_when_idle().await, [Outcome::Cancelled]);
}

async fn each_of_several_open_bodies_is_counted<T: Clone>(setup: Setup<T>) {
    let mut bodies = Vec::new();
    for open in 0..3 {
        assert_eq!(setup.in_flight(), open);
        bodies.push(setup.get("/held").await.into_body());
    }
    assert_eq!(setup.in_flight(), 3);

    drop(bodies);
    assert_eq!(setup.outcomes_when_idle().await, [Outcome::Cancelled; 3]);
}

async fn a_connection_that_is_used_again_counts_each_request<T: Clone>(setup: Setup<T>) {
    for _ in 0..5 {
        setup
            .get("/chunks")
            .await
            .into_body()
            .collect()
            .await
            .unwrap();
    }
    assert_eq!(setup.outcomes_when_idle().await, [Outcome::Success; 5]);
}
