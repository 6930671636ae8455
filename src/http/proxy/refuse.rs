//! What is not passed on, since two who read it could read two different things.
//!
//! Much of that is refused already by whoever parses the bytes; this is what is left when there is
//! a [`Request`], by whatever server.

use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::uri::Authority;
use http::{Method, Request, StatusCode, Version};

use super::found::Found;

/// A request that a [`Proxy`](super::Proxy) does not pass on, in the extensions of its response: see
/// [`error_of`](crate::http::error_of).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It has both `Content-Length` and `Transfer-Encoding`.
    #[error("the request has both Content-Length and Transfer-Encoding")]
    TwoLengths,
    /// It has more than one `Content-Length`, or one that is no number.
    #[error("the request has a Content-Length that is not one number")]
    BadLength,
    /// Its body is encoded otherwise than as `chunked`.
    #[error("the request has a Transfer-Encoding other than chunked")]
    UnknownEncoding,
    /// It has no `Host`, more than one, one that is no host and port, or another than its
    /// `:authority`.
    #[error("the request has not one valid Host")]
    BadHost,
    /// It expects something else than `100-continue`.
    #[error("the request expects something else than 100-continue")]
    UnknownExpectation,
    /// `CONNECT` and `TRACE` are not for a reverse proxy.
    #[error("the request has a method that is not passed on")]
    Method,
}

impl Refused {
    /// Returns the status of the response.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TwoLengths | Self::BadLength | Self::BadHost => StatusCode::BAD_REQUEST,
            Self::UnknownEncoding | Self::Method => StatusCode::NOT_IMPLEMENTED,
            Self::UnknownExpectation => StatusCode::EXPECTATION_FAILED,
        }
    }
}

/// Looks at a request as its server has made it.
pub(super) fn check<B>(request: &Request<B>, found: Found) -> Result<(), Refused> {
    let headers = request.headers();
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) {
        return Err(Refused::Method);
    }
    if found.has(Found::CONTENT_LENGTH) || found.has(Found::TRANSFER_ENCODING) {
        check_length(headers)?;
    }
    check_host(request)?;
    if found.has(Found::EXPECT) {
        check_expectation(headers)?;
    }
    Ok(())
}

fn check_expectation(headers: &HeaderMap) -> Result<(), Refused> {
    match headers.get(EXPECT) {
        Some(expected) if !expected.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Err(Refused::UnknownExpectation)
        }
        _ => Ok(()),
    }
}

fn check_length(headers: &HeaderMap) -> Result<(), Refused> {
    let length = one(headers, &CONTENT_LENGTH).map_err(|()| Refused::BadLength)?;
    if let Some(length) = length {
        let digits = length.as_bytes();
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(Refused::BadLength);
        }
    }
    let encoding = one(headers, &TRANSFER_ENCODING).map_err(|()| Refused::UnknownEncoding)?;
    match (encoding, length) {
        (None, _) => Ok(()),
        (Some(_), Some(_)) => Err(Refused::TwoLengths),
        (Some(encoding), None) if encoding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        (Some(_), None) => Err(Refused::UnknownEncoding),
    }
}

fn check_host<B>(request: &Request<B>) -> Result<(), Refused> {
    let authority = request.uri().authority();
    let host = one(request.headers(), &HOST).map_err(|()| Refused::BadHost)?;
    match (host, authority) {
        // What is in the request line is to be believed over the header (RFC 9112, section 3.2.2),
        // but HTTP/2 has no request line (RFC 9113, section 8.3.1).
        (Some(host), Some(authority)) if request.version() >= Version::HTTP_2 => {
            let same = host
                .as_bytes()
                .eq_ignore_ascii_case(authority.as_str().as_bytes());
            same.then_some(()).ok_or(Refused::BadHost)
        }
        (_, Some(_)) => Ok(()),
        (Some(host), None) => is_host(host).then_some(()).ok_or(Refused::BadHost),
        (None, None) if request.version() < Version::HTTP_11 => Ok(()),
        (None, None) => Err(Refused::BadHost),
    }
}

/// A host, perhaps with a port. Of what a URI allows, only what names and addresses consist of: a
/// comma, say, could be where two of them were put together.
fn is_host(value: &HeaderValue) -> bool {
    let value = value.as_bytes();
    let of_names = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
    // Empty where the request's target has no authority (RFC 9112, section 3.2).
    if value.iter().all(of_names) {
        return true;
    }
    let allowed = |byte: &u8| of_names(byte) || b":[]%~".contains(byte);
    value.iter().all(allowed) && Authority::try_from(value).is_ok()
}

/// The one value of a header, if it has any; an error if it has more.
fn one<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Result<Option<&'h HeaderValue>, ()> {
    let mut lines = headers.get_all(name).into_iter();
    match (lines.next(), lines.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Line = (&'static str, &'static str);

    fn checked(version: Version, target: &str, lines: &[Line]) -> Result<(), Refused> {
        let request = Request::post(target).version(version);
        let request = lines.iter().fold(request, |request, &(name, value)| {
            request.header(name, value)
        });
        checked_request(&request.body(()).expect("a request"))
    }

    fn checked_request(request: &Request<()>) -> Result<(), Refused> {
        check(request, Found::of(request.headers()))
    }

    const HOST: Line = ("host", "shop.example");

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        let table: &[(&[Line], Result<(), Refused>)] = &[
            (&[HOST], Ok(())),
            (&[HOST, ("content-length", "5")], Ok(())),
            (&[HOST, ("transfer-encoding", "Chunked")], Ok(())),
            (
                &[
                    HOST,
                    ("content-length", "5"),
                    ("transfer-encoding", "chunked"),
                ],
                Err(Refused::TwoLengths),
            ),
            (
                &[
                    HOST,
                    ("transfer-encoding", "chunked"),
                    ("content-length", "5"),
                ],
                Err(Refused::TwoLengths),
            ),
            (
                &[HOST, ("content-length", "5"), ("content-length", "5")],
                Err(Refused::BadLength),
            ),
            (&[HOST, ("content-length", "5, 5")], Err(Refused::BadLength)),
            (&[HOST, ("content-length", "+5")], Err(Refused::BadLength)),
            (&[HOST, ("content-length", "-1")], Err(Refused::BadLength)),
            (&[HOST, ("content-length", "0x5")], Err(Refused::BadLength)),
            (&[HOST, ("content-length", "")], Err(Refused::BadLength)),
            (
                &[HOST, ("transfer-encoding", "gzip, chunked")],
                Err(Refused::UnknownEncoding),
            ),
            (
                &[HOST, ("transfer-encoding", "chunked, identity")],
                Err(Refused::UnknownEncoding),
            ),
            (
                &[
                    HOST,
                    ("transfer-encoding", "chunked"),
                    ("transfer-encoding", "chunked"),
                ],
                Err(Refused::UnknownEncoding),
            ),
            (&[], Err(Refused::BadHost)),
            (&[HOST, HOST], Err(Refused::BadHost)),
            (&[("host", "a@b")], Err(Refused::BadHost)),
            (&[("host", "a b")], Err(Refused::BadHost)),
            (&[("host", "a/b")], Err(Refused::BadHost)),
            (&[("host", "a,b")], Err(Refused::BadHost)),
            (&[("host", "a:b:c")], Err(Refused::BadHost)),
            (&[("host", "a_b.example:80")], Ok(())),
            (&[("host", "[::1]:80")], Ok(())),
            (&[("host", "")], Ok(())),
            (&[HOST, ("expect", "100-Continue")], Ok(())),
            (
                &[HOST, ("expect", "a-miracle")],
                Err(Refused::UnknownExpectation),
            ),
        ];
        for (lines, expected) in table {
            assert_eq!(
                checked(Version::HTTP_11, "/", lines),
                *expected,
                "{lines:?}"
            );
        }
    }

    #[test]
    fn a_host_that_is_not_the_authority_is_refused_over_http_2_and_ignored_over_http_1() {
        let other = ("host", "other.example");
        let target = "http://shop.example/";
        let refused = Err(Refused::BadHost);
        assert_eq!(checked(Version::HTTP_2, target, &[other]), refused);
        assert_eq!(checked(Version::HTTP_2, target, &[HOST]), Ok(()));
        assert_eq!(checked(Version::HTTP_2, target, &[]), Ok(()));
        assert_eq!(checked(Version::HTTP_11, target, &[other]), Ok(()));
    }

    #[test]
    fn methods_for_other_kinds_of_proxies_are_refused() {
        for method in ["CONNECT", "TRACE"] {
            let request = Request::builder().method(method).uri("shop.example:443");
            let request = request.header("host", "shop.example").body(());
            let checked = checked_request(&request.expect("a request"));
            assert_eq!(checked, Err(Refused::Method));
        }
    }
}
