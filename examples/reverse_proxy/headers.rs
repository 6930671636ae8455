//! Which headers a proxy passes on, and which it adds.

use std::net::IpAddr;

use evenkeel::http::key::PeerAddress;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, Version};

/// They speak of one connection, and the proxy has one on either side (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Makes a client's request one that the proxy can send on.
pub(crate) fn to_backend<B>(mut request: Request<B>, client: IpAddr) -> Request<B> {
    // HTTP/1.0 is between client and proxy only.
    *request.version_mut() = Version::HTTP_11;
    if request.uri().authority().is_some() {
        // A name in the request line is to be believed over the header (RFC 9112, section 3.2.2).
        // The balance makes a new header of it.
        request.headers_mut().remove(HOST);
    }
    let headers = request.headers_mut();
    remove_hop_by_hop(headers);

    request.extensions_mut().insert(PeerAddress(client));
    let headers = request.headers_mut();
    // A socket for IPv6 sees an IPv4 client as ::ffff:a.b.c.d.
    let client = HeaderValue::from_str(&client.to_canonical().to_string())
        .expect("an IP address is a header value");
    let said = headers.get_all(X_FORWARDED_FOR);
    let all: Vec<&[u8]> = said
        .iter()
        .chain([&client])
        .map(HeaderValue::as_bytes)
        .collect();
    let all = HeaderValue::from_bytes(&all.join(&b", "[..])).expect("made of header values");
    headers.insert(X_FORWARDED_FOR, all);
    headers.insert(X_REAL_IP, client);
    request
}

/// Makes a backend's response one that the proxy can send on.
pub(crate) fn to_client<B>(mut response: Response<B>) -> Response<B> {
    *response.version_mut() = Version::HTTP_11;
    remove_hop_by_hop(response.headers_mut());
    response
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|names| names.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}
