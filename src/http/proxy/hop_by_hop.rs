use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};

use super::found::Found;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// They speak of one connection, and a proxy has one on either side (RFC 9110, sections 7.6.1 and
/// 11.7). `Trailer` is not among them: who passes trailers on has to announce them.
const HOP_BY_HOP: [HeaderName; 8] = [
    CONNECTION,
    KEEP_ALIVE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    PROXY_CONNECTION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Without them there would be another message.
const NEVER_NAMED: [HeaderName; 2] = [HOST, CONTENT_LENGTH];

/// Removes what speaks of one connection only, and what `Connection` says does.
pub(super) fn remove(headers: &mut HeaderMap, found: Found) {
    if !found.has(Found::HOP_BY_HOP) {
        return;
    }
    if found.has(Found::CONNECTION) {
        remove_named(headers);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// The same for a request. `TE: trailers` stays, for whoever answers with trailers: gRPC demands it.
pub(super) fn remove_of_request(headers: &mut HeaderMap, found: Found) {
    let trailers = found.has(Found::TE) && has_token(headers, &TE, "trailers");
    remove(headers, found);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Whether a list that a header has, on one line or several, has this word.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
}

fn tokens<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(name).into_iter();
    let tokens = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    tokens.map(<[u8]>::trim_ascii)
}

fn remove_named(headers: &mut HeaderMap) {
    // These need no look: they are no headers, or removed anyway.
    let usual = |token: &&[u8]| {
        !["", "keep-alive", "close", "upgrade", "te"]
            .iter()
            .any(|usual| token.eq_ignore_ascii_case(usual.as_bytes()))
    };
    let named = tokens(headers, &CONNECTION).filter(usual);
    let named = named.filter_map(|name| HeaderName::from_bytes(name).ok());
    let named: Vec<HeaderName> = named.collect();
    for name in named.iter().filter(|name| !NEVER_NAMED.contains(name)) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let lines = lines.iter().map(|&(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        });
        // One by one: several lines of one name stay.
        lines.fold(HeaderMap::new(), |mut headers, (name, value)| {
            headers.append(name, value);
            headers
        })
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_speaks_of_one_connection_is_removed_and_what_connection_names() {
        let mut headers = headers(&[
            ("accept", "*/*"),
            ("connection", "X-Hop ,, keep-alive,"),
            ("connection", "x-other"),
            ("x-hop", "1"),
            ("x-other", "1"),
            ("x-other", "2"),
            ("keep-alive", "timeout=5"),
            ("proxy-authenticate", "Basic"),
            ("proxy-authorization", "Basic c2VjcmV0"),
            ("proxy-connection", "close"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("trailer", "x-sum"),
        ]);
        let found = Found::of(&headers);
        remove_of_request(&mut headers, found);
        assert_eq!(names(&headers), ["accept", "trailer"]);
    }

    #[test]
    fn connection_cannot_take_away_the_host_or_the_length() {
        let mut headers = headers(&[
            ("connection", "host, content-length, bad name, @"),
            ("host", "shop.example"),
            ("content-length", "3"),
        ]);
        let found = Found::of(&headers);
        remove(&mut headers, found);
        assert_eq!(names(&headers), ["content-length", "host"]);
    }

    #[test]
    fn a_byte_that_is_no_text_hides_nothing() {
        let mut headers = headers(&[("x-secret", "1")]);
        let line = HeaderValue::from_bytes(b"x-secret, \xff").expect("it is a header value");
        headers.append(CONNECTION, line);
        let found = Found::of(&headers);
        remove(&mut headers, found);
        assert!(headers.is_empty(), "{headers:?}");
    }

    #[test]
    fn te_is_passed_on_as_far_as_it_is_about_trailers() {
        let mut headers = headers(&[("te", "gzip;q=0.5, Trailers")]);
        let found = Found::of(&headers);
        remove_of_request(&mut headers, found);
        assert_eq!(headers[TE], "trailers");
    }
}
