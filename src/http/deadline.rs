use std::time::{Duration, Instant};

use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Request};

use crate::deadline::{Carry, Deadline};
use crate::time::{later, now};

/// HTTP requests carry their deadline as a [`Deadline`] in their extensions, as gRPC's
/// `grpc-timeout` header, or both: then the sooner counts.
///
/// It is passed on as it has come: a request with the header goes on with the time that is left, and
/// so does each attempt of a [retry](crate::retry); one that is gRPC by its content type gets the
/// header. In the extensions it is passed on to whoever is inside this process.
///
/// A header that is not one to eight digits and a unit (H, M, S, m, u, n) is ignored, and goes on as
/// it is.
///
/// # Examples
///
/// ```
/// use evenkeel::deadline::{Carry, DeadlineLayer};
/// use evenkeel::http::HttpDeadline;
/// use http::Request;
/// use std::time::{Duration, Instant};
///
/// let request = Request::get("/").header("grpc-timeout", "250m").body(()).unwrap();
/// let left = HttpDeadline.deadline(&request).unwrap() - Instant::now();
/// assert!(left <= Duration::from_millis(250) && left > Duration::from_millis(200));
///
/// let layer = DeadlineLayer::new(Duration::from_secs(30)).carried(HttpDeadline);
/// # let _ = layer;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HttpDeadline;

const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

impl<B> Carry<Request<B>> for HttpDeadline {
    fn deadline(&self, request: &Request<B>) -> Option<Instant> {
        deadline(request.extensions(), request.headers())
    }

    fn pass_on(&self, request: &mut Request<B>, deadline: Instant) {
        request.extensions_mut().insert(Deadline::at(deadline));
        let left = deadline.saturating_duration_since(now());
        tell_time_left(request.headers_mut(), left);
    }
}

pub(super) fn deadline(extensions: &Extensions, headers: &HeaderMap) -> Option<Instant> {
    let told = headers.get(GRPC_TIMEOUT).and_then(parse);
    let told = told.map(|timeout| later(now(), timeout));
    let known = extensions.get::<Deadline>().map(|known| known.instant());
    [told, known].into_iter().flatten().min()
}

/// Writes how much time is left into the header, where there is one, or is to be one.
pub(super) fn tell_time_left(headers: &mut HeaderMap, left: Duration) {
    let known = headers.get(GRPC_TIMEOUT);
    let tells = known.map_or_else(|| is_grpc(headers), |known| parse(known).is_some());
    if tells {
        headers.insert(GRPC_TIMEOUT, format(left));
    }
}

pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE);
    value.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// As gRPC over HTTP/2 has it: up to 8 digits and a unit.
fn parse(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    let valid = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(digits).ok().filter(|_| valid)?;
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// In the finest unit that 8 digits are enough for, rounded down, but never to nothing.
fn format(left: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let nanos = left.as_nanos().max(1);
    let units = [
        ("n", 1),
        ("u", 1_000),
        ("m", 1_000_000),
        ("S", 1_000_000_000),
    ];
    let fits = units.into_iter().find(|(_, unit)| nanos / unit <= MOST);
    let (name, number) = fits.map_or(("S", MOST), |(name, unit)| (name, nanos / unit));
    let text = format!("{number}{name}");
    HeaderValue::try_from(text).expect("digits and a letter")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static str) -> Option<Duration> {
        parse(&HeaderValue::from_static(text))
    }

    #[test]
    fn units_are_those_of_grpc() {
        assert_eq!(parsed("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parsed("3M"), Some(Duration::from_secs(180)));
        assert_eq!(parsed("4S"), Some(Duration::from_secs(4)));
        assert_eq!(parsed("5m"), Some(Duration::from_millis(5)));
        assert_eq!(parsed("6u"), Some(Duration::from_micros(6)));
        assert_eq!(parsed("7n"), Some(Duration::from_nanos(7)));
        assert_eq!(
            parsed("99999999H"),
            Some(Duration::from_secs(99_999_999 * 3600))
        );
    }

    #[test]
    fn anything_else_is_ignored() {
        for text in [
            "",
            "1",
            "S",
            "123456789S",
            "-1S",
            "1.5S",
            " 1S",
            "1 S",
            "1s",
            "1x",
            "+1S",
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    #[test]
    fn what_is_written_is_read_back_to_five_digits_and_never_longer() {
        for nanos in [
            0,
            1,
            999,
            99_999_999,
            100_000_000,
            123_456_789_012,
            u64::MAX / 1000,
        ] {
            let left = Duration::from_nanos(nanos);
            let read = parse(&format(left)).expect("it is valid");
            assert!(
                read <= left.max(Duration::from_nanos(1)),
                "{left:?} as {read:?}"
            );
            assert!(
                read.as_secs_f64() >= left.as_secs_f64() * 0.9999,
                "{left:?} as {read:?}"
            );
        }
        assert_eq!(format(Duration::MAX), "99999999S");
    }

    #[test]
    fn the_header_is_rewritten_where_there_is_one_or_the_request_is_grpc() {
        let left = Duration::from_millis(20);
        let mut headers = HeaderMap::new();
        tell_time_left(&mut headers, left);
        assert!(headers.is_empty());
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/grpc+proto"),
        );
        tell_time_left(&mut headers, left);
        assert_eq!(headers[GRPC_TIMEOUT], "20000000n");
        headers.remove(CONTENT_TYPE);
        tell_time_left(&mut headers, left / 2);
        assert_eq!(headers[GRPC_TIMEOUT], "10000000n");
        headers.insert(GRPC_TIMEOUT, HeaderValue::from_static("soon"));
        tell_time_left(&mut headers, left);
        assert_eq!(headers[GRPC_TIMEOUT], "soon");
    }
}
