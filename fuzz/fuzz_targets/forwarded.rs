//! Whatever a client says of those before it, a proxy passes on lists that end with the client's own
//! address, and believes only whom it was told to.

#![no_main]

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use evenkeel::http::key::{self, ForwardedIn, PeerAddress};
use evenkeel::http::proxy::{IdleBody, Proxy};
use evenkeel::picker::hash::Key;
use http::header::FORWARDED;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Empty;
use libfuzzer_sys::fuzz_target;
use tower_service::Service;

type Body = Empty<Bytes>;

/// Keeps the headers of the last request.
#[derive(Clone)]
struct Backend;

static SEEN: Mutex<Option<HeaderMap>> = Mutex::new(None);

impl Service<Request<IdleBody<Body>>> for Backend {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<IdleBody<Body>>) -> Self::Future {
        *SEEN.lock().expect("no panic") = Some(request.headers().clone());
        ready(Ok(Response::new(Body::new())))
    }
}

// The first byte says whose connection it is, each line of the rest is a header.
fuzz_target!(|input: &[u8]| {
    let Some((&first, rest)) = input.split_first() else {
        return;
    };
    let peer: IpAddr = match first % 3 {
        0 => [10, 0, 0, first].into(),
        1 => [203, 0, 113, first].into(),
        _ => [0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(first)].into(),
    };
    let mut request = Request::new(Body::new());
    request.extensions_mut().insert(PeerAddress(peer));
    request
        .headers_mut()
        .insert("host", HeaderValue::from_static("shop.example"));
    let lines = rest.split(|&byte| byte == b'\n');
    let mut texts = Vec::new();
    for value in lines.filter_map(|line| HeaderValue::from_bytes(line).ok()) {
        texts.extend_from_slice(value.as_bytes());
        texts.push(b' ');
        request
            .headers_mut()
            .append("x-forwarded-for", value.clone());
        request.headers_mut().append(FORWARDED, value);
    }

    for header in [ForwardedIn::XForwardedFor, ForwardedIn::Forwarded] {
        let key = key::client_address().behind_proxies(["10.0.0.0/8"], header);
        let key = key.expect("a network");
        let found = key.of(&request).expect("there is a peer");
        let found = std::str::from_utf8(found.as_bytes()).expect("text");
        let found: IpAddr = found.parse().expect("an address");
        // Nobody but a proxy is believed.
        assert!(found == peer || matches!(peer, IpAddr::V4(v4) if v4.octets()[0] == 10));
    }

    for strict in [false, true] {
        let mut proxy = Proxy::new(Backend).forwarded();
        if strict {
            proxy = proxy.trusted_proxies(["10.0.0.0/8"]).expect("a network");
        }
        let mut future = pin!(proxy.call(request.clone()));
        let ready = future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(ready, Poll::Ready(Ok(response)) if response.status() == 200));
        let seen = SEEN
            .lock()
            .expect("no panic")
            .take()
            .expect("it was called");
        let one = |name: &str| {
            let mut lines = seen.get_all(name).into_iter();
            let line = lines.next().expect("a line").as_bytes().to_vec();
            assert!(lines.next().is_none());
            line
        };
        assert!(one("x-forwarded-for").ends_with(peer.to_string().as_bytes()));
        assert!(one("forwarded").ends_with(b";host=\"shop.example\";proto=http"));
        let real: IpAddr = String::from_utf8(one("x-real-ip"))
            .expect("text")
            .parse()
            .expect("an address");
        if !strict || peer.is_ipv6() || first % 3 == 1 {
            assert_eq!(real, peer);
        }
    }
});
