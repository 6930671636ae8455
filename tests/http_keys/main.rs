//! Keys of HTTP requests: what counts, what is absent, and who is believed.

#![cfg(feature = "http")]

mod balanced;
mod client_address;
mod hostile;
mod parts;

use evenkeel::picker::hash::Key;
use http::{HeaderName, HeaderValue, Request};

/// A request for `uri` with these headers, in their order.
fn request(uri: &str, headers: &[(&str, &str)]) -> Request<()> {
    let headers = headers
        .iter()
        .map(|(name, value)| (*name, value.as_bytes()));
    request_of_bytes(uri, headers)
}

fn request_of_bytes<'a>(
    uri: &str,
    headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
) -> Request<()> {
    let mut request = Request::new(());
    *request.uri_mut() = uri.parse().expect("a URI");
    for (name, value) in headers {
        let name: HeaderName = name.parse().expect("a header name");
        // Whatever a parser lets through.
        if let Ok(value) = HeaderValue::from_bytes(value) {
            request.headers_mut().append(name, value);
        }
    }
    request
}

/// The key, with bytes that are no ASCII escaped.
fn of(key: &impl Key<Request<()>>, request: &Request<()>) -> Option<String> {
    let key = key.of(request)?;
    Some(key.as_bytes().escape_ascii().to_string())
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is compared with what `of` returns"
)]
fn is(text: &str) -> Option<String> {
    Some(text.to_owned())
}
