//! Pickers by a key, as a file names it.

use evenkeel::http::key::PeerAddress;
use evenkeel::picker::Context;
use http::Request;

use crate::read;

const BACKENDS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// Who is picked for each of some values, which are put into a request.
fn picked(key: &str, put: fn(&str) -> Request<()>) -> Vec<Option<usize>> {
    let text = format!("[picker]\nalgorithm = \"rendezvous\"\nkey = {key}");
    let picker = read(&text).picker::<()>();
    let of = |value: String| picker.pick(&BACKENDS, &put(&value), &mut Context::new());
    (0..50).map(|number| of(format!("v{number}"))).collect()
}

fn same(key: &str, put: fn(&str) -> Request<()>) {
    let (once, again) = (picked(key, put), picked(key, put));
    assert_eq!(once, again, "{key}");
    assert!(
        once.iter().any(|pick| *pick != once[0]),
        "{key}: all the same"
    );
}

fn get(uri: String) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

#[test]
fn the_same_key_goes_to_the_same_backend_and_others_elsewhere() {
    same("\"path\"", |value| {
        get(format!("/{value}?n={}", fastrand::u64(..)))
    });
    same("\"path:1\"", |value| {
        get(format!("/{value}/{}", fastrand::u64(..)))
    });
    same("\"uri\"", |value| get(format!("/a?{value}")));
    same("\"query:q\"", |value| {
        get(format!("/{}?q={value}", fastrand::u64(..)))
    });
    same("\"host\"", |value| {
        get(format!("http://{value}/{}", fastrand::u64(..)))
    });
    same("\"header:x-user\"", |value| {
        let mut request = get(format!("/{}", fastrand::u64(..)));
        request
            .headers_mut()
            .insert("x-user", value.parse().unwrap());
        request
    });
    same("[\"header:x-none\", \"cookie:session\"]", |value| {
        let mut request = get(format!("/{}", fastrand::u64(..)));
        let cookie = format!("session={value}");
        request
            .headers_mut()
            .insert("cookie", cookie.parse().unwrap());
        request
    });
}

#[test]
fn a_trusted_proxy_is_believed_about_the_client() {
    let picker = read(
        "[picker]\nalgorithm = \"rendezvous\"\ntrusted_proxies = [\"10.0.0.0/8\"]\nforwarded_in = \"X-Real-IP\"",
    );
    let picker = picker.picker::<()>();
    let pick = |peer: [u8; 4], real: &str| {
        let mut request = get("/".to_owned());
        request.extensions_mut().insert(PeerAddress(peer.into()));
        request
            .headers_mut()
            .insert("x-real-ip", real.parse().unwrap());
        picker.pick(&BACKENDS, &request, &mut Context::new())
    };
    let clients: Vec<_> = (1..50).map(|n| format!("192.0.2.{n}")).collect();
    let by_proxy: Vec<_> = clients
        .iter()
        .map(|client| pick([10, 0, 0, 1], client))
        .collect();
    assert!(by_proxy.iter().any(|pick| *pick != by_proxy[0]));
    // Through another proxy it is the same client.
    for (client, first) in clients.iter().zip(&by_proxy) {
        assert_eq!(pick([10, 9, 9, 9], client), *first);
    }
    // Whoever says so themselves is not believed.
    let stranger = pick([203, 0, 113, 9], &clients[0]);
    assert!(
        clients
            .iter()
            .all(|client| pick([203, 0, 113, 9], client) == stranger)
    );
}

#[test]
fn each_algorithm_can_be_named() {
    use evenkeel::picker::Algorithm;
    use evenkeel::picker::hash::HashAlgorithm;

    let plain = Algorithm::ALL.iter().map(|algorithm| algorithm.name());
    let keyed = HashAlgorithm::ALL.iter().map(|algorithm| algorithm.name());
    for name in plain.chain(keyed) {
        let picker = read(&format!("[picker]\nalgorithm = \"{name}\"")).picker::<()>();
        let pick = picker.pick(&BACKENDS, &get("/".to_owned()), &mut Context::new());
        assert!(pick.is_some(), "{name}");
    }
}
