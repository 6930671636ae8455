//! Requests that someone made to do harm.

use evenkeel::http::key::{self, ForwardedIn, PeerAddress};
use evenkeel::picker::hash::Key;
use http::Request;
use proptest::prelude::*;

use crate::{is, of, request, request_of_bytes};

const KIB_64: usize = 1 << 16;

fn client_address(header: ForwardedIn) -> Box<dyn Key<Request<()>>> {
    let key = key::client_address().behind_proxies(["10.0.0.0/8"], header);
    Box::new(key.expect("this is a network"))
}

/// Every key there is.
fn all() -> Vec<Box<dyn Key<Request<()>>>> {
    vec![
        Box::new(key::header("x-user").unwrap()),
        Box::new(key::cookie("user").unwrap()),
        Box::new(key::query("user").unwrap()),
        Box::new(key::path()),
        Box::new(key::path().segments(2).unwrap()),
        Box::new(key::path().length(3).unwrap()),
        Box::new(key::uri()),
        Box::new(key::host()),
        client_address(ForwardedIn::XForwardedFor),
        client_address(ForwardedIn::Forwarded),
        client_address(ForwardedIn::Header(http::header::VIA)),
    ]
}

const NAMES: [&str; 6] = [
    "x-user",
    "cookie",
    "host",
    "x-forwarded-for",
    "forwarded",
    "via",
];

#[test]
fn headers_of_64_kib_are_read_to_their_end() {
    let long = "x".repeat(KIB_64);
    let user = request("/", &[("x-user", &long)]);
    assert_eq!(of(&key::header("x-user").unwrap(), &user), is(&long));

    let cookie = format!("{long}=1; a=\"{long}\"; id=7");
    let cookie = request("/", &[("cookie", &cookie)]);
    assert_eq!(of(&key::cookie("id").unwrap(), &cookie), is("7"));

    let addresses = "10.0.0.2,".repeat(KIB_64 / 9);
    for start in ["198.51.100.7,", "x,"] {
        let list = format!("6.6.6.6,{start}{addresses}10.0.0.3");
        let mut request = request("/", &[("x-forwarded-for", &list)]);
        request
            .extensions_mut()
            .insert(PeerAddress([10, 0, 0, 1].into()));
        let expected = if start == "x," {
            "10.0.0.2"
        } else {
            "198.51.100.7"
        };
        let key = client_address(ForwardedIn::XForwardedFor);
        assert_eq!(of(&key, &request), is(expected));
    }
}

#[test]
fn one_cookie_is_found_among_a_thousand_in_one_line_or_in_many() {
    let mut cookies: Vec<_> = (0..1_000).map(|at| format!("id{at}={at}")).collect();
    cookies.push("id=7".to_owned());
    let key = key::cookie("id").unwrap();
    let line = cookies.join("; ");
    assert_eq!(of(&key, &request("/", &[("cookie", &line)])), is("7"));
    let lines: Vec<_> = cookies
        .iter()
        .map(|line| ("cookie", line.as_str()))
        .collect();
    assert_eq!(of(&key, &request("/", &lines)), is("7"));
}

/// Pieces that mean something to a parser, and any bytes.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let pieces: &[&[u8]] = &[
        b"for=",
        b"\"",
        b",",
        b";",
        b"=",
        b" ",
        b"[",
        b"]",
        b":",
        b"user",
        b"10.0.0.2",
        b"\\",
        b"2001:db8::1",
        b"::ffff:10.0.0.3",
        b"80",
        b"\xff",
        b"\xc3\xa4",
    ];
    let piece = prop_oneof![
        4 => prop::sample::select(pieces).prop_map(<[u8]>::to_vec),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_bytes_in_headers_make_a_key_panic_or_differ_from_one_time_to_the_next(
        headers in prop::collection::vec((prop::sample::select(&NAMES), value()), 0..12),
        uri in "/[!$-;=?-Z_a-z~]{0,30}",
    ) {
        let headers = headers.iter().map(|(name, value)| (*name, &value[..]));
        let mut request = request_of_bytes(&uri, headers);
        request.extensions_mut().insert(PeerAddress([10, 0, 0, 1].into()));
        for key in all() {
            prop_assert_eq!(of(&key, &request), of(&key, &request));
        }
    }

    /// Whatever the client sends itself, what its proxy adds says who it is.
    #[test]
    fn no_bytes_of_a_client_hide_the_address_that_the_proxy_has_added(
        sent in prop::collection::vec(value(), 0..4), same_line: bool,
    ) {
        for (name, header, entry) in [
            ("x-forwarded-for", ForwardedIn::XForwardedFor, "198.51.100.7"),
            ("forwarded", ForwardedIn::Forwarded, "for=198.51.100.7"),
        ] {
            let mut lines = sent.clone();
            match lines.last_mut() {
                Some(last) if same_line => last.extend([b", ", entry.as_bytes()].concat()),
                _ => lines.push(entry.as_bytes().to_vec()),
            }
            // A line that no parser lets through never reached the proxy.
            prop_assume!(lines.iter().all(|line| http::HeaderValue::from_bytes(line).is_ok()));
            let lines = lines.iter().map(|line| (name, &line[..]));
            let mut request = request_of_bytes("/", lines);
            request.extensions_mut().insert(PeerAddress([10, 0, 0, 1].into()));
            prop_assert_eq!(of(&client_address(header), &request), is("198.51.100.7"));
        }
    }
}
