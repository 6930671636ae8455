//! Where a request comes from: the other end of the connection, or what one's own proxies say.

use std::net::{IpAddr, SocketAddr};

use evenkeel::http::key::{self, ClientAddress, ForwardedIn, PeerAddress};
use http::{Extensions, HeaderName};

use crate::{is, of, request};

const XFF: &str = "x-forwarded-for";

fn behind(header: ForwardedIn) -> ClientAddress {
    let proxies = ["10.0.0.0/8", "192.0.2.1", "2001:db8:1::/48"];
    let key = key::client_address().behind_proxies(proxies, header);
    key.expect("these are networks")
}

/// Whom a request with these header lines is said to come from.
fn client(key: &ClientAddress, peer: &str, name: &str, lines: &[&str]) -> Option<String> {
    let lines: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
    let mut request = request("/", &lines);
    let peer: IpAddr = peer.parse().expect("an address");
    request.extensions_mut().insert(PeerAddress(peer));
    of(key, &request)
}

#[test]
fn without_proxies_the_connection_counts_and_no_header_is_believed() {
    let key = key::client_address();
    for peer in ["203.0.113.9", "2001:db8::1"] {
        for name in [XFF, "forwarded", "x-real-ip"] {
            assert_eq!(client(&key, peer, name, &["6.6.6.6"]), is(peer));
        }
    }
    assert_eq!(
        client(&key, "::ffff:203.0.113.9", XFF, &[]),
        is("203.0.113.9")
    );
    assert_eq!(of(&key, &request("/", &[(XFF, "6.6.6.6")])), None);
}

#[test]
fn a_header_from_a_peer_that_is_no_proxy_is_not_believed() {
    for (header, name) in [
        (ForwardedIn::XForwardedFor, XFF),
        (ForwardedIn::Forwarded, "forwarded"),
        (
            ForwardedIn::Header(HeaderName::from_static("x-real-ip")),
            "x-real-ip",
        ),
    ] {
        let key = behind(header);
        for peer in ["203.0.113.9", "11.0.0.1", "192.0.2.2", "2001:db8:2::1"] {
            let lines = ["6.6.6.6", "for=6.6.6.6", "10.0.0.1"];
            assert_eq!(client(&key, peer, name, &lines), is(peer), "{name}");
        }
    }
}

#[test]
fn the_last_address_of_the_list_that_is_no_proxys_is_the_clients() {
    let key = behind(ForwardedIn::XForwardedFor);
    for (lines, expected) in [
        (&["198.51.100.7"][..], "198.51.100.7"),
        (&["6.6.6.6, 198.51.100.7"], "198.51.100.7"),
        (
            &["6.6.6.6, 198.51.100.7, 10.0.0.2,192.0.2.1"],
            "198.51.100.7",
        ),
        // Lines are one list, whose end is that of the last of them.
        (
            &["6.6.6.6", "198.51.100.7", "10.0.0.2", "10.0.0.3"],
            "198.51.100.7",
        ),
        (
            &["198.51.100.7, 10.0.0.2", "192.0.2.1, 10.0.0.3"],
            "198.51.100.7",
        ),
        // Proxies only: the one farthest away.
        (&["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (&[], "10.0.0.1"),
        // With ports, in brackets, and IPv4 within IPv6.
        (&["198.51.100.7:4711, 10.0.0.2:80"], "198.51.100.7"),
        (&["[2001:db8::7]:4711, [2001:db8:1::2]"], "2001:db8::7"),
        (&["2001:DB8:0::7"], "2001:db8::7"),
        (&["::ffff:198.51.100.7, ::ffff:10.0.0.2"], "198.51.100.7"),
        (&["\t198.51.100.7\t ,  10.0.0.2 "], "198.51.100.7"),
    ] {
        for peer in ["10.0.0.1", "::ffff:10.0.0.1"] {
            assert_eq!(client(&key, peer, XFF, lines), is(expected), "{lines:?}");
        }
    }
}

#[test]
fn where_an_entry_is_no_address_the_proxy_that_sent_it_counts() {
    let key = behind(ForwardedIn::XForwardedFor);
    for entry in [
        "unknown",
        "1.2.3",
        "6.6.6.6.6",
        "6.6.6.6:99999",
        "[::1",
        "_x",
        "6.6.6.6 x",
        "ä",
    ] {
        let alone = client(&key, "10.0.0.1", XFF, &[entry]);
        assert_eq!(alone, is("10.0.0.1"), "{entry}");
        let line = format!("6.6.6.6, {entry}, 10.0.0.2");
        let before_a_proxy = client(&key, "10.0.0.1", XFF, &[&line]);
        assert_eq!(before_a_proxy, is("10.0.0.2"), "{entry}");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_has_it() {
    let key = behind(ForwardedIn::Forwarded);
    for (lines, expected) in [
        (&["for=198.51.100.7"][..], "198.51.100.7"),
        (
            &["For=\"198.51.100.7:4711\";proto=https;by=10.0.0.1"],
            "198.51.100.7",
        ),
        (&["by=10.0.0.1;proto=http;FOR=198.51.100.7"], "198.51.100.7"),
        (&["for=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17"),
        (&["for=\"[2001:db8:cafe::17]\""], "2001:db8:cafe::17"),
        (&["for=\"198.51.100.7:_hidden\""], "198.51.100.7"),
        (&["for=\"[2001:db8::1]:_hidden\""], "2001:db8::1"),
        (&["for=198.51.100.7, ,"], "198.51.100.7"),
        (
            &["for=6.6.6.6, for=198.51.100.7;by=_a, for=10.0.0.2"],
            "198.51.100.7",
        ),
        (
            &[
                "for=198.51.100.7, for=\"[2001:db8:1::5]:1\"",
                "for=192.0.2.1",
            ],
            "198.51.100.7",
        ),
        (&["for=198.51.100.7; host=\"a, b\""], "198.51.100.7"),
        (&["for=6.6.6.6, for=unknown, for=10.0.0.2"], "10.0.0.2"),
        (&["for=6.6.6.6, for=_hidden"], "10.0.0.1"),
        (&["for=6.6.6.6, by=10.0.0.2"], "10.0.0.1"),
        (&["198.51.100.7"], "10.0.0.1"),
        (&["for=\"\""], "10.0.0.1"),
        // Quotes within quotes, and a proxy that does not escape what it quotes.
        (
            &[r#"for=198.51.100.7;host="a\",for=6.6.6.6""#],
            "198.51.100.7",
        ),
        (&[r#"for=198.51.100.7;host="a\""#], "198.51.100.7"),
        // A quote that a client left open does not swallow what a proxy has added.
        (&["for=\"6.6.6.6, for=198.51.100.7"], "198.51.100.7"),
        (&["host=\"x", "for=198.51.100.7"], "198.51.100.7"),
    ] {
        assert_eq!(
            client(&key, "10.0.0.1", "forwarded", lines),
            is(expected),
            "{lines:?}"
        );
    }
}

/// A proxy that tells the client's `Host` along, in quotes, as RFC 7239 has it.
#[test]
fn what_a_client_has_a_proxy_put_in_quotes_is_not_believed() {
    let key = behind(ForwardedIn::Forwarded);
    for host in [
        "a,for=6.6.6.6",
        "a,for=6.6.6.6;b",
        "a,for=6.6.6.6,b",
        "a;for=6.6.6.6;b",
        r#"a\",for=6.6.6.6;b"#,
    ] {
        for line in [
            format!("for=198.51.100.7;host=\"{host}\""),
            format!("host=\"{host}\";for=198.51.100.7"),
        ] {
            let client = client(&key, "10.0.0.1", "forwarded", &[&line]);
            assert_ne!(client, is("6.6.6.6"), "{line}");
        }
    }
}

#[test]
fn a_single_address_in_a_header_of_ones_own_is_the_clients() {
    let key = behind(ForwardedIn::Header(HeaderName::from_static("x-real-ip")));
    let of = |lines: &[&str]| client(&key, "192.0.2.1", "x-real-ip", lines);
    assert_eq!(of(&["198.51.100.7"]), is("198.51.100.7"));
    assert_eq!(of(&["2001:db8::7"]), is("2001:db8::7"));
    assert_eq!(of(&["nobody"]), is("192.0.2.1"));
    // The other headers are not read.
    assert_eq!(
        client(&key, "192.0.2.1", XFF, &["6.6.6.6"]),
        is("192.0.2.1")
    );
}

#[test]
fn the_peer_is_found_where_it_was_said_to_be() {
    fn peer(extensions: &Extensions) -> Option<IpAddr> {
        extensions.get::<SocketAddr>().map(SocketAddr::ip)
    }
    let key = behind(ForwardedIn::XForwardedFor).peer(peer);
    let mut request = request("/", &[(XFF, "198.51.100.7")]);
    request
        .extensions_mut()
        .insert(PeerAddress([10, 0, 0, 9].into()));
    assert_eq!(of(&key, &request), None);
    let peer = SocketAddr::from(([10, 0, 0, 1], 80));
    request.extensions_mut().insert(peer);
    assert_eq!(of(&key, &request), is("198.51.100.7"));
}

#[test]
fn a_text_that_is_no_network_is_refused_with_the_text() {
    for text in [
        "",
        "10.0.0.0/33",
        "10.0.0",
        "localhost",
        "10.0.0.0/8 ",
        "::/129",
    ] {
        let networks = ["10.0.0.0/8", text];
        let error = key::client_address().behind_proxies(networks, ForwardedIn::XForwardedFor);
        let expected = "expected an address or a prefix, such as 10.0.0.0/8";
        let message = format!("invalid network {text:?}: {expected}");
        assert_eq!(error.unwrap_err().to_string(), message);
    }
}
