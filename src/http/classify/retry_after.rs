use std::time::Duration;

use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};

const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// For how long a backend asks to be left alone.
pub(super) fn of(headers: &HeaderMap) -> Option<Duration> {
    let seconds = |value| number(value).map(|count| Duration::from_secs(count.into()));
    let millis = |value| number(value).map(|count| Duration::from_millis(count.into()));
    let told = headers.get(RETRY_AFTER).and_then(seconds);
    told.or_else(|| headers.get(PUSHBACK).and_then(millis))
}

/// Whether it is a caller that is told to wait, and not one of a backend.
pub(super) fn is_pushback(headers: &HeaderMap) -> bool {
    headers.contains_key(PUSHBACK)
}

/// Whether another attempt may be made, as gRPC's proposal A6 has it.
pub(super) fn may_retry(headers: &HeaderMap) -> bool {
    let pushback = headers.get(PUSHBACK);
    pushback.is_none_or(|value| number(value).is_some())
}

/// A number of digits only. One that is too large is as large as can be, which in seconds is 136
/// years: an `Instant` that far away can still be told.
fn number(value: &HeaderValue) -> Option<u32> {
    let digits = value.to_str().ok()?;
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &'static str, value: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        of(&headers)
    }

    #[test]
    fn seconds_and_milliseconds_are_told_apart_by_the_header() {
        assert_eq!(told("retry-after", "120"), Some(Duration::from_secs(120)));
        assert_eq!(
            told("grpc-retry-pushback-ms", "120"),
            Some(Duration::from_millis(120))
        );
        assert_eq!(told("retry-after", "0"), Some(Duration::ZERO));
    }

    #[test]
    fn a_pushback_that_is_no_number_forbids_another_attempt() {
        for (value, may) in [
            ("0", true),
            ("120", true),
            ("-1", false),
            ("", false),
            ("x", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(PUSHBACK, HeaderValue::from_static(value));
            assert_eq!(may_retry(&headers), may, "{value:?}");
        }
        assert!(may_retry(&HeaderMap::new()));
    }

    #[test]
    fn what_is_no_number_of_seconds_is_ignored() {
        for value in [
            "Fri, 31 Dec 1999 23:59:59 GMT",
            "-1",
            "+1",
            "1.5",
            "1s",
            "",
            " 1",
        ] {
            assert_eq!(told("retry-after", value), None, "{value:?}");
            assert_eq!(told("grpc-retry-pushback-ms", value), None, "{value:?}");
        }
        assert_eq!(of(&HeaderMap::new()), None);
    }

    #[test]
    fn more_seconds_than_can_be_counted_are_as_many_as_can() {
        let longest = Some(Duration::from_secs(u32::MAX.into()));
        assert_eq!(told("retry-after", "4294967296"), longest);
        assert_eq!(told("retry-after", "99999999999999999999999999"), longest);
    }

    #[test]
    fn a_date_does_not_hide_a_pushback() {
        let mut headers = HeaderMap::new();
        let date = HeaderValue::from_static("Fri, 31 Dec 1999 23:59:59 GMT");
        headers.insert(RETRY_AFTER, date);
        headers.insert("grpc-retry-pushback-ms", HeaderValue::from_static("5"));
        assert_eq!(of(&headers), Some(Duration::from_millis(5)));
    }
}
