//! What an HTTP probe refuses to be set to.

use evenkeel::health::HttpProbe;
use hyper::Response;

use crate::setup::{Frames, answering};

macro_rules! probe {
    () => {
        HttpProbe::new(answering(|| Response::new(Frames::none())))
    };
}

#[test]
fn a_path_that_is_none_is_refused() {
    for path in [
        "",
        "healthz",
        "*",
        "http://a/b",
        "/a b",
        "/a#b",
        "/\n",
        "?a",
        "/grün",
    ] {
        let error = probe!().path(path).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("invalid path {path:?}: expected a path, such as /healthz")
        );
    }
}

#[test]
fn a_host_that_is_none_is_refused() {
    for host in [
        "", "a b", "user@a", "http://a", "a/b", "a\n", ":80", "a:0", "a:b", "::1",
    ] {
        let expected = "expected HOST or HOST:PORT, such as shop.example";
        let message = format!("invalid host {host:?}: {expected}");
        let error = probe!().host(host).unwrap_err();
        assert_eq!(error.to_string(), message);
        let error = probe!().header("host", host).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    for host in ["a", "a:80", "shop.example", "[::1]", "[::1]:80"] {
        assert!(probe!().host(host).is_ok(), "{host}");
    }
}

#[test]
fn a_header_that_is_none_is_refused_without_telling_its_value() {
    let error = probe!().header("x y", "z").unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid header name \"x y\": expected a token, such as x-state"
    );
    for value in ["secret\n", "secret\0", "sec\x7fret"] {
        let error = probe!().header("Authorization", value).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid value of header authorization: expected no control characters"
        );
    }
    let error = probe!().degraded_header("").unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid header name \"\": expected a token, such as x-state"
    );
}

#[test]
#[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
fn a_range_of_statuses_that_is_empty_or_too_wide_is_refused() {
    for (range, given) in [
        (299..=200, "299 to 200"),
        (99..=200, "99 to 200"),
        (200..=600, "200 to 600"),
        (0..=0, "0 to 0"),
    ] {
        let error = probe!().expect_status(range).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("invalid range of statuses {given}: expected 100 to 599, or a part of that")
        );
    }
    assert!(probe!().expect_status(100..=599).is_ok());
}

#[test]
fn a_text_that_no_body_can_lack_or_have_is_refused() {
    let error = probe!().body_contains("").unwrap_err();
    let expected = "expected 1 byte or more, and not more than the body limit";
    assert_eq!(error.to_string(), format!("invalid text \"\": {expected}"));
    let probe = probe!().body_limit(2).unwrap();
    assert!(probe.clone().body_contains("ok").is_ok());
    let error = probe.body_contains("okay").unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("invalid text \"okay\": {expected}")
    );
}

#[test]
fn a_limit_that_leaves_no_room_for_the_text_is_refused() {
    let expected = "expected 1 byte or more, and not less than the text";
    let error = probe!().body_limit(0).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("invalid body limit 0: {expected}")
    );
    let probe = probe!().body_contains("ok").unwrap();
    assert!(probe.clone().body_limit(2).is_ok());
    let error = probe.body_limit(1).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("invalid body limit 1: {expected}")
    );
}

#[test]
fn debug_output_does_not_tell_values_of_headers() {
    let probe = probe!().header("authorization", "secret").unwrap();
    let debug = format!("{probe:?}");
    assert!(debug.contains("authorization"), "{debug}");
    assert!(!debug.contains("secret"), "{debug}");
}
