//! Texts that a body must contain.

use std::time::Duration;

use evenkeel::health::{Answer, HttpProbe};
use hyper::{Request, Response};
use tokio::time::timeout;

use crate::setup::{
    Frames, HEALTHY, answering, anywhere, ask, http1_client, http1_server, unhealthy,
};

/// What a probe says that looks for a text in a body, up to a limit.
async fn look(
    text: &str,
    limit: usize,
    body: impl Fn() -> Frames + Clone + Send + Sync + 'static,
) -> Result<Answer, String> {
    let probe = HttpProbe::new(answering(move || Response::new(body())))
        .body_contains(text)
        .unwrap()
        .body_limit(limit)
        .unwrap();
    // In the tests here that are about waiting, time passes only when nothing else can happen.
    let answer = timeout(Duration::from_secs(60), ask(&probe, anywhere()));
    answer.await.unwrap_or_else(|_| unhealthy("timed out"))
}

#[tokio::test]
async fn a_text_is_found_in_the_body_that_a_server_sends() {
    let answer = |_: &Request<()>| Response::new(Frames::data(&["all is ", "ok", " here"]));
    let (server, _) = http1_server(answer).await;
    let probe = HttpProbe::new(http1_client())
        .body_contains("is ok")
        .unwrap();
    assert_eq!(ask(&probe, server.clone()).await, HEALTHY);

    let probe = probe.body_contains("is well").unwrap();
    assert_eq!(
        ask(&probe, server).await,
        unhealthy("the body does not contain \"is well\"")
    );
}

#[tokio::test]
async fn a_text_is_found_wherever_it_is_split() {
    let frames = [
        &["<ok>"][..],
        &["", "o", "", "k", ""],
        &["o", "ok"],
        &["xo", "k"],
        &["xxxxx", "xxxxok"],
        &["k", "o", "k"],
    ];
    for frames in frames {
        let found = look("ok", 100, || Frames::data(frames)).await;
        assert_eq!(found, HEALTHY, "{frames:?}");
    }
    let letters = || Frames::data(&["a", "a", "b", "a", "a", "a", "c"]);
    assert_eq!(look("baaac", 100, letters).await, HEALTHY);
    assert_eq!(look("aabaaac", 100, letters).await, HEALTHY);
}

#[tokio::test]
async fn parts_of_a_text_in_the_wrong_order_are_not_the_text() {
    for frames in [&["k", "o"][..], &["o", "-", "k"], &["OK"], &[]] {
        let missing = look("ok", 100, || Frames::data(frames)).await;
        let reason = "the body does not contain \"ok\"";
        assert_eq!(missing, unhealthy(reason), "{frames:?}");
    }
}

#[tokio::test]
async fn what_is_beyond_the_limit_is_not_looked_at() {
    let whole = || Frames::data(&["12345678ok"]);
    let split = || Frames::data(&["1234", "5678o", "k"]);
    assert_eq!(look("ok", 10, whole).await, HEALTHY);
    assert_eq!(look("ok", 10, split).await, HEALTHY);
    let reason = unhealthy("the first 9 bytes of the body do not contain \"ok\"");
    assert_eq!(look("ok", 9, whole).await, reason);
    assert_eq!(look("ok", 9, split).await, reason);
}

#[tokio::test]
async fn the_limit_is_64_kib_by_default() {
    const LIMIT: usize = 65_536;
    let probe = |padding: usize| {
        let body = format!("{}ok", " ".repeat(padding));
        let client = answering(move || Response::new(Frames::bytes(body.clone())));
        HttpProbe::new(client).body_contains("ok").unwrap()
    };
    assert_eq!(ask(&probe(LIMIT - 2), anywhere()).await, HEALTHY);
    assert_eq!(
        ask(&probe(LIMIT - 1), anywhere()).await,
        unhealthy("the first 65536 bytes of the body do not contain \"ok\"")
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_after_the_text_was_found() {
    let body = || Frames::data(&["is ", "ok"]).and_hangs();
    assert_eq!(look("ok", 100, body).await, HEALTHY);
    let body = || Frames::data(&["is ok"]).and_breaks_off();
    assert_eq!(look("ok", 100, body).await, HEALTHY);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_after_the_limit() {
    let body = || Frames::data(&["1234"]).and_hangs();
    assert_eq!(
        look("ok", 4, body).await,
        unhealthy("the first 4 bytes of the body do not contain \"ok\"")
    );
    // Whereas what could still come is waited for.
    assert_eq!(look("ok", 5, body).await, unhealthy("timed out"));
}

#[tokio::test]
async fn a_body_that_breaks_off_is_the_reason() {
    let body = || Frames::data(&["is "]).and_breaks_off();
    assert_eq!(
        look("ok", 100, body).await,
        unhealthy("the body broke off, and does not contain \"ok\": unplugged")
    );
}

#[tokio::test]
async fn the_status_is_looked_at_before_the_body() {
    let client = answering(|| {
        let response = Response::builder().status(500);
        response.body(Frames::data(&["ok"])).unwrap()
    });
    let probe = HttpProbe::new(client).body_contains("ok").unwrap();
    assert_eq!(
        ask(&probe, anywhere()).await,
        unhealthy("status 500, expected 200 to 399")
    );
}

#[tokio::test]
async fn trailers_are_no_text() {
    let mut trailers = hyper::HeaderMap::new();
    trailers.insert("ok", "ok".parse().unwrap());
    let body = move || Frames::data(&["-"]).and_trailers(trailers.clone());
    assert_eq!(
        look("ok", 100, body).await,
        unhealthy("the body does not contain \"ok\"")
    );
}
