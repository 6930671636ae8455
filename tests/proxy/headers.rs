//! What backends are told.

use super::setup::{Front, Settings, answering};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// What a backend sees of a request, in lower case, in order.
async fn seen(settings: Settings, request: &str) -> Vec<String> {
    let (address, seen) = answering(OK).await;
    let front = Front::start_with(&[address], settings).await;
    front.exchange(request).await;
    let seen = seen.lock().expect("no panic");
    let mut lines: Vec<String> = seen[0].lines().map(str::to_ascii_lowercase).collect();
    lines.retain(|line| !line.is_empty());
    lines.sort_unstable();
    lines
}

#[tokio::test]
async fn backends_are_told_who_asks_for_what_and_nothing_of_the_connection() {
    let request = "GET /a?b=c HTTP/1.1\r\nHost: Shop.example:81\r\nConnection: close, x-hop\r\nX-Hop: 1\r\n\
                   TE: trailers, gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\nX-Kept: yes\r\n\
                   Proxy-Authorization: Basic c2VjcmV0\r\n\r\n";
    let lines = seen(Settings::default(), request).await;
    assert_eq!(
        lines,
        [
            "get /a?b=c http/1.1",
            "host: shop.example:81",
            "http2-settings: aama",
            "te: trailers",
            "via: 1.1 evenkeel",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: shop.example:81",
            "x-forwarded-proto: http",
            "x-kept: yes",
            "x-real-ip: 127.0.0.1",
        ]
    );
}

#[tokio::test]
async fn a_trusted_proxy_in_front_is_believed() {
    let settings = Settings {
        proxy: |proxy| {
            let proxy = proxy.trusted_proxies(["127.0.0.0/8"]).expect("a network");
            let proxy = proxy.via("edge").expect("a token").forwarded();
            proxy.host("inside.example").expect("a host")
        },
        ..Settings::default()
    };
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.7\r\n\
                   X-Forwarded-Proto: https\r\nX-Forwarded-Host: shop.example\r\n\r\n";
    let lines = seen(settings, request).await;
    assert_eq!(
        lines,
        [
            "forwarded: for=127.0.0.1;host=\"a\";proto=http",
            "get / http/1.1",
            "host: inside.example",
            "via: 1.1 edge",
            "x-forwarded-for: 6.6.6.6, 203.0.113.7, 127.0.0.1",
            "x-forwarded-host: shop.example",
            "x-forwarded-proto: https",
            "x-real-ip: 203.0.113.7",
        ]
    );
}

#[test]
fn names_that_make_no_sense_are_refused_and_named() {
    use evenkeel::http::proxy::Proxy;
    let error = |refused: Result<Proxy<()>, evenkeel::InvalidSetting>| {
        refused.expect_err("it makes no sense").to_string()
    };
    assert_eq!(
        error(Proxy::new(()).trusted_proxies(["10.0.0.0/33"])),
        "invalid network \"10.0.0.0/33\": expected an address or a prefix, such as 10.0.0.0/8"
    );
    assert_eq!(
        error(Proxy::new(()).host("a/b")),
        "invalid host \"a/b\": expected a host, with or without a port"
    );
    assert_eq!(
        error(Proxy::new(()).via("a b")),
        "invalid name for Via \"a b\": expected a token: letters, digits, and -._ and the like"
    );
    assert_eq!(
        error(Proxy::new(()).upgrades(["web socket"])),
        "invalid protocol \"web socket\": expected a token, such as websocket, perhaps with / and a version"
    );
}
