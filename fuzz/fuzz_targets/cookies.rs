//! Whatever a client sends as cookies, reading one finds a value of its own or none.

#![no_main]

use evenkeel::http::key;
use evenkeel::picker::hash::Key;
use http::header::COOKIE;
use http::{HeaderValue, Request};
use libfuzzer_sys::fuzz_target;

// Each line of the input is a header, if it can be one at all.
fuzz_target!(|input: &[u8]| {
    let mut request = Request::new(());
    let lines = input.split(|&byte| byte == b'\n');
    for value in lines.filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        request.headers_mut().append(COOKIE, value);
    }
    let session = key::cookie("session").expect("the name of a cookie");
    let Some(found) = session.of(&request) else {
        return;
    };
    let value = found.as_bytes();
    assert!(!value.is_empty());
    assert!(!value.contains(&b';'));
    // It stands in one of the headers as it is.
    let headers = request.headers().get_all(COOKIE);
    let within =
        |header: &HeaderValue| header.as_bytes().windows(value.len()).any(|it| it == value);
    assert!(headers.iter().any(within));
});
