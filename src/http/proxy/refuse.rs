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
    /// Its target is neither a path nor a URL: a bare host, which is for `CONNECT`, a `*`, which is
    /// for `OPTIONS`, or a URL of something else than the web.
    #[error("the request's target is neither a path nor a URL of http or https")]
    Target,
    /// `CONNECT` and `TRACE` are not for a reverse proxy.
    #[error("the request has a method that is not passed on")]
    Method,
}

impl Refused {
    /// Returns the status of the response.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TwoLengths | Self::BadLength | Self::BadHost | Self::Target => {
                StatusCode::BAD_REQUEST
            }
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
    check_target(request)?;
    if found.has(Found::CONTENT_LENGTH) || found.has(Found::TRANSFER_ENCODING) {
        check_length(headers)?;
    }
    check_host(request)?;
    if found.has(Found::EXPECT) {
        check_expectation(headers)?;
    }
    Ok(())
}

fn check_target<B>(request: &Request<B>) -> Result<(), Refused> {
    let target = request.uri();
    let bare_host = target.authority().is_some() && target.scheme().is_none();
    let star = target.path() == "*" && request.method() != Method::OPTIONS;
    let web = target.scheme().is_none_or(|scheme| {
        let scheme = scheme.as_str();
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    });
    if bare_host || star || !web {
        return Err(Refused::Target);
    }
    Ok(())
}

fn check_expectation(headers: &HeaderMap) -> Result<(), Refused> {
    let is_known = |line: &HeaderValue| line.as_bytes().eq_ignore_ascii_case(b"100-continue");
    let known = headers.get_all(EXPECT).into_iter().all(is_known);
    known.then_some(()).ok_or(Refused::UnknownExpectation)
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
    let authority = request.uri().authority().map(Authority::as_str);
    // It becomes the host, and has no user.
    if authority.is_some_and(|authority| !is_host(authority.as_bytes())) {
        return Err(Refused::BadHost);
    }
    let host = one(request.headers(), &HOST).map_err(|()| Refused::BadHost)?;
    match (host, authority) {
        // What is in the request line is to be believed over the header (RFC 9112, section 3.2.2),
        // but HTTP/2 has no request line (RFC 9113, section 8.3.1).
        (Some(host), Some(authority)) if request.version() >= Version::HTTP_2 => {
            let same = host.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
            same.then_some(()).ok_or(Refused::BadHost)
        }
        (_, Some(_)) => Ok(()),
        (Some(host), None) => is_host(host.as_bytes())
            .then_some(())
            .ok_or(Refused::BadHost),
        (None, None) if request.version() < Version::HTTP_11 => Ok(()),
        (None, None) => Err(Refused::BadHost),
    }
}

/// A host, perhaps with a port. Of what a URI allows, only what names and addresses consist of: a
/// comma, say, could be where two of them were put together.
fn is_host(value: &[u8]) -> bool {
    let of_names = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_".contains(byte);
    // Empty where the request's target has no authority (RFC 9112, section 3.2).
    if value.iter().all(of_names) {
        return true;
    }
    let allowed = |byte: &u8| of_names(byte) || b":[]%~".contains(byte);
    let Some(authority) = Authority::try_from(value)
        .ok()
        .filter(|_| value.iter().all(allowed))
    else {
        return false;
    };
    // What follows the host is a colon, and a port if there is one.
    let port = &authority.as_str()[authority.host().len()..];
    matches!(port, "" | ":") || authority.port_u16().is_some()
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
            (&[("host", "a:99999")], Err(Refused::BadHost)),
            (&[("host", "a:")], Ok(())),
            (&[("host", "a_b.example:80")], Ok(())),
            (&[("host", "[::1]:80")], Ok(())),
            (&[("host", "")], Ok(())),
            (&[HOST, ("expect", "100-Continue")], Ok(())),
            (
                &[HOST, ("expect", "100-continue"), ("expect", "a-miracle")],
                Err(Refused::UnknownExpectation),
            ),
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
    fn a_host_in_the_target_is_held_to_the_same() {
        for target in [
            "http://a,b;c/x",
            "http://u:p@a/",
            "http://u@a/",
            "http://a:b/",
        ] {
            let Ok(request) = Request::get(target).version(Version::HTTP_11).body(()) else {
                continue;
            };
            assert_eq!(checked_request(&request), Err(Refused::BadHost), "{target}");
        }
    }

    #[test]
    fn targets_for_other_methods_are_refused() {
        for target in [
            "*",
            "shop.example:80",
            "shop.example",
            "ftp://shop.example/",
        ] {
            let checked = checked(Version::HTTP_11, target, &[HOST]);
            assert_eq!(checked, Err(Refused::Target), "{target}");
        }
        let request = Request::options("*").header("host", "a").body(());
        assert_eq!(checked_request(&request.expect("a request")), Ok(()));
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
