//! What backends are told of the client, whom they do not see.

use std::fmt::Write as _;
use std::net::IpAddr;

use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Request};

use super::found::Found;
use crate::InvalidSetting;
use crate::http::key::{ClientAddress, ForwardedIn, client_address};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// How backends get to know who asks, for which host, and how.
#[derive(Clone, Debug)]
pub(super) struct Forwarding {
    client: ClientAddress,
    /// Whether anybody was said to be trusted. If so, others are not.
    strict: bool,
    /// Whether `Forwarded` is written where there was none.
    forwarded: bool,
    https: bool,
}

/// What becomes of what a request says already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// The list of addresses goes on; all else is said anew.
    Appended,
    /// It comes from one of the proxies in front.
    Believed,
    /// Anybody could say that.
    Dropped,
}

impl Forwarding {
    pub(super) fn new() -> Self {
        Self {
            client: client_address(),
            strict: false,
            forwarded: false,
            https: false,
        }
    }

    pub(super) fn trust<N: AsRef<str>>(
        &mut self,
        networks: impl IntoIterator<Item = N>,
    ) -> Result<(), InvalidSetting> {
        self.client = client_address().behind_proxies(networks, ForwardedIn::XForwardedFor)?;
        self.strict = true;
        Ok(())
    }

    pub(super) fn write_forwarded(&mut self) {
        self.forwarded = true;
    }

    pub(super) fn clients_use_https(&mut self) {
        self.https = true;
    }

    /// Whose connection a request came over.
    pub(super) fn peer(&self, extensions: &Extensions) -> Option<IpAddr> {
        self.client.peer_of(extensions)
    }

    /// Tells it in the headers of a request that was made to `host`.
    pub(super) fn tell<B>(
        &self,
        request: &mut Request<B>,
        host: Option<&HeaderValue>,
        found: Found,
    ) {
        let peer = self.peer(request.extensions());
        let said = match peer {
            _ if !self.strict => Said::Appended,
            Some(peer) if self.client.is_proxy(peer) => Said::Believed,
            _ => Said::Dropped,
        };
        let client = self.client_of(said, request.extensions(), request.headers(), peer);
        let headers = request.headers_mut();
        if found.has(Found::UNDERSCORE) {
            remove_lookalikes(headers);
        }
        if found.has(Found::X_FORWARDED) && said != Said::Believed {
            remove_invented(headers);
        }
        if self.forwarded || found.has(Found::FORWARDED) {
            self.tell_forwarded(headers, said, peer, host);
        }
        if let Some(peer) = peer.map(value_of) {
            let real_ip = client.map_or_else(|| peer.clone(), value_of);
            headers.insert(X_REAL_IP, real_ip);
            let begun = found.has(Found::X_FORWARDED) && headers.contains_key(X_FORWARDED_FOR);
            if said == Said::Dropped || !begun {
                headers.insert(X_FORWARDED_FOR, peer);
            } else {
                append(headers, &X_FORWARDED_FOR, peer.as_bytes());
            }
        } else {
            headers.remove(X_REAL_IP);
            if said == Said::Dropped {
                headers.remove(X_FORWARDED_FOR);
            }
        }
        let kept = |headers: &HeaderMap, name: &HeaderName| {
            said == Said::Believed && headers.contains_key(name)
        };
        if !kept(headers, &X_FORWARDED_PROTO) {
            headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(self.scheme()));
        }
        if !kept(headers, &X_FORWARDED_HOST) {
            match host {
                Some(host) => headers.insert(X_FORWARDED_HOST, host.clone()),
                None => headers.remove(X_FORWARDED_HOST),
            };
        }
    }

    /// Who asks, if that is not who is connected.
    fn client_of(
        &self,
        said: Said,
        extensions: &Extensions,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Option<IpAddr> {
        let client = match said {
            Said::Believed => self.client.client(extensions, headers),
            Said::Appended | Said::Dropped => None,
        };
        client.filter(|_| client != peer)
    }

    /// As RFC 7239 has it, section 4.
    fn tell_forwarded(
        &self,
        headers: &mut HeaderMap,
        said: Said,
        peer: Option<IpAddr>,
        host: Option<&HeaderValue>,
    ) {
        if said == Said::Dropped {
            headers.remove(FORWARDED);
            if !self.forwarded {
                return;
            }
        }
        // An open quote would have what is added here for its text.
        let all_closed = |line: &HeaderValue| is_closed(line.as_bytes());
        if !headers.get_all(FORWARDED).into_iter().all(all_closed) {
            headers.remove(FORWARDED);
        }
        let mut element = String::with_capacity(64);
        // Writing to a string cannot fail.
        let _ = match peer {
            None => write!(element, "for=unknown"),
            Some(IpAddr::V4(peer)) => write!(element, "for={peer}"),
            Some(IpAddr::V6(peer)) => write!(element, "for=\"[{peer}]\""),
        };
        // What cannot be quoted is no host.
        let host = host.and_then(|host| host.to_str().ok());
        if let Some(host) = host.filter(|host| !host.is_empty() && !host.contains(['"', '\\'])) {
            let _ = write!(element, ";host=\"{host}\"");
        }
        let _ = write!(element, ";proto={}", self.scheme());
        append(headers, &FORWARDED, element.as_bytes());
    }

    fn scheme(&self) -> &'static str {
        if self.https { "https" } else { "http" }
    }
}

/// Adds an entry to a list, and makes one line of it.
fn append(headers: &mut HeaderMap, name: &HeaderName, entry: &[u8]) {
    let lines = headers.get_all(name).into_iter();
    let all: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).chain([entry]).collect();
    let all = HeaderValue::from_bytes(&all.join(&b", "[..])).expect("made of header values");
    headers.insert(name, all);
}

fn value_of(address: IpAddr) -> HeaderValue {
    let text = match address {
        IpAddr::V4(address) => {
            let mut text = Short::default();
            for (at, octet) in address.octets().into_iter().enumerate() {
                if at > 0 {
                    text.push(b'.');
                }
                text.push_number(octet);
            }
            return HeaderValue::from_bytes(text.as_bytes()).expect("digits and dots");
        }
        IpAddr::V6(address) => address.to_string(),
    };
    HeaderValue::try_from(text).expect("digits, letters and colons")
}

/// What `Display` would write of an IPv4 address, at a tenth of its cost, which each request has.
#[derive(Default)]
struct Short {
    bytes: [u8; 15],
    length: usize,
}

impl Short {
    fn push(&mut self, byte: u8) {
        self.bytes[self.length] = byte;
        self.length += 1;
    }

    fn push_number(&mut self, number: u8) {
        if number >= 100 {
            self.push(b'0' + number / 100);
        }
        if number >= 10 {
            self.push(b'0' + number / 10 % 10);
        }
        self.push(b'0' + number % 10);
    }

    fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Whether each quote of a line is closed in it.
fn is_closed(line: &[u8]) -> bool {
    let mut bytes = line.iter();
    let mut inside = false;
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => inside = !inside,
            b'\\' if inside => drop(bytes.next()),
            _ => {}
        }
    }
    !inside
}

/// Removes whatever else there is of `X-Forwarded-…`: port, prefix and the like, which nobody here
/// knows of, and who makes URLs of them would believe.
fn remove_invented(headers: &mut HeaderMap) {
    let invented =
        |name: &&HeaderName| name.as_str().starts_with("x-forwarded-") && **name != X_FORWARDED_FOR;
    let found: Vec<HeaderName> = headers.keys().filter(invented).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

/// Removes `X_Forwarded_For` and its like: whoever makes variables of headers, as CGI and WSGI do,
/// cannot tell them from ours.
fn remove_lookalikes(headers: &mut HeaderMap) {
    let looks_alike = |name: &&HeaderName| {
        let dashed = name.as_str().replace('_', "-");
        name.as_str().contains('_')
            && (dashed.starts_with("x-forwarded-") || X_REAL_IP.as_str() == dashed)
    };
    let found: Vec<HeaderName> = headers.keys().filter(looks_alike).cloned().collect();
    for name in found {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::key::PeerAddress;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));

    fn told(forwarding: &Forwarding, peer: Option<IpAddr>, lines: &[(&str, &str)]) -> HeaderMap {
        let request = lines
            .iter()
            .fold(Request::get("/"), |request, &(name, value)| {
                request.header(name, value)
            });
        let mut request = request.body(()).expect("a request");
        if let Some(peer) = peer {
            request.extensions_mut().insert(PeerAddress(peer));
        }
        let host = HeaderValue::from_static("shop.example:81");
        let found = Found::of(request.headers());
        forwarding.tell(&mut request, Some(&host), found);
        std::mem::take(request.headers_mut())
    }

    fn trusting(networks: &[&str]) -> Forwarding {
        let mut forwarding = Forwarding::new();
        forwarding.trust(networks).expect("networks");
        forwarding
    }

    const INVENTED: &[(&str, &str)] = &[
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-for", "203.0.113.8"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "other.example"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-prefix", "/evil"),
        ("x_forwarded_ssl", "on"),
        ("x-real-ip", "203.0.113.9"),
        ("x_real_ip", "203.0.113.9"),
        ("x-forwarded_for", "203.0.113.9"),
        ("x_kept", "yes"),
    ];

    #[test]
    fn the_list_of_addresses_goes_on_and_all_else_is_said_anew() {
        let headers = told(&Forwarding::new(), Some(PEER), INVENTED);
        assert_eq!(
            headers[X_FORWARDED_FOR],
            "203.0.113.7, 203.0.113.8, 10.0.0.1"
        );
        assert_eq!(headers[X_FORWARDED_PROTO], "http");
        assert_eq!(headers[X_FORWARDED_HOST], "shop.example:81");
        assert_eq!(headers[X_REAL_IP], "10.0.0.1");
        assert!(!headers.contains_key("x_real_ip"));
        for invented in [
            "x-forwarded_for",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x_forwarded_ssl",
        ] {
            assert!(!headers.contains_key(invented), "{invented}");
        }
        assert_eq!(headers["x_kept"], "yes");
        assert!(!headers.contains_key(FORWARDED));
    }

    #[test]
    fn whoever_is_not_trusted_is_not_believed_a_word() {
        let lines = [INVENTED, &[("forwarded", "for=203.0.113.7")]].concat();
        let headers = told(&trusting(&["192.168.0.0/16"]), Some(PEER), &lines);
        assert_eq!(headers[X_FORWARDED_FOR], "10.0.0.1");
        assert_eq!(headers[X_FORWARDED_PROTO], "http");
        assert_eq!(headers[X_FORWARDED_HOST], "shop.example:81");
        assert_eq!(headers[X_REAL_IP], "10.0.0.1");
        assert!(!headers.contains_key(FORWARDED));
        let headers = told(&trusting(&["192.168.0.0/16"]), None, INVENTED);
        assert!(!headers.contains_key(X_FORWARDED_FOR));
        assert!(!headers.contains_key(X_REAL_IP));
    }

    #[test]
    fn a_trusted_proxy_is_believed_who_the_client_is_and_how_it_asks() {
        let headers = told(&trusting(&["10.0.0.0/8"]), Some(PEER), INVENTED);
        assert_eq!(
            headers[X_FORWARDED_FOR],
            "203.0.113.7, 203.0.113.8, 10.0.0.1"
        );
        assert_eq!(headers[X_FORWARDED_PROTO], "https");
        assert_eq!(headers[X_FORWARDED_HOST], "other.example");
        assert_eq!(headers[X_REAL_IP], "203.0.113.8");
        assert_eq!(headers["x-forwarded-port"], "1");
        assert!(!headers.contains_key("x_forwarded_ssl"));
    }

    #[test]
    fn a_quote_that_is_open_has_nothing_of_ours_for_its_text() {
        let ours = "for=10.0.0.1;host=\"shop.example:81\";proto=http";
        for open in ["\"", "for=\"a\\\"", "for=\"a\"\", x"] {
            let headers = told(&Forwarding::new(), Some(PEER), &[("forwarded", open)]);
            assert_eq!(headers[FORWARDED], ours, "{open}");
        }
        let closed = "for=\"a\\\"b\"";
        let headers = told(&Forwarding::new(), Some(PEER), &[("forwarded", closed)]);
        assert_eq!(headers[FORWARDED], format!("{closed}, {ours}"));
    }

    #[test]
    fn forwarded_goes_on_where_it_has_begun_and_is_begun_where_that_is_asked_for() {
        let lines = [("forwarded", "for=203.0.113.7;proto=https")];
        let headers = told(&Forwarding::new(), Some(PEER), &lines);
        let ours = "for=10.0.0.1;host=\"shop.example:81\";proto=http";
        assert_eq!(headers[FORWARDED], format!("{}, {ours}", lines[0].1));

        let mut forwarding = trusting(&[]);
        forwarding.write_forwarded();
        forwarding.clients_use_https();
        let peer = "2001:db8::1".parse().expect("an address");
        let headers = told(&forwarding, Some(peer), &lines);
        let ours = "for=\"[2001:db8::1]\";host=\"shop.example:81\";proto=https";
        assert_eq!(headers[FORWARDED], ours);
        let headers = told(&forwarding, None, &lines);
        assert_eq!(
            headers[FORWARDED],
            "for=unknown;host=\"shop.example:81\";proto=https"
        );
    }

    #[test]
    fn every_address_is_a_header_value() {
        for text in [
            "0.0.0.0",
            "1.20.109.200",
            "255.255.255.255",
            "::1",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            let address: IpAddr = text.parse().expect("an address");
            assert_eq!(value_of(address), text);
        }
    }
}
