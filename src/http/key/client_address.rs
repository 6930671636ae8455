use std::net::{IpAddr, SocketAddr};
use std::str;

use http::header::{FORWARDED, HeaderName};
use http::{Extensions, HeaderMap, Request};
use ipnet::{IpNet, Ipv4Net};

use crate::InvalidSetting;
use crate::picker::hash::{Key, KeyBytes};

/// Where a request comes from, as a key; from [`client_address`].
#[derive(Clone, Debug)]
#[must_use]
pub struct ClientAddress {
    peer: fn(&Extensions) -> Option<IpAddr>,
    proxies: Vec<IpNet>,
    header: ForwardedIn,
}

/// The address at the other end of the connection, in a request's extensions: put there by whoever
/// accepts connections.
///
/// # Examples
///
/// ```
/// use evenkeel::http::key::{self, PeerAddress};
/// use evenkeel::picker::hash::Key;
/// use http::Request;
///
/// let mut request = Request::new(());
/// assert!(key::client_address().of(&request).is_none());
/// request.extensions_mut().insert(PeerAddress([192, 0, 2, 1].into()));
/// assert_eq!(key::client_address().of(&request).unwrap().as_bytes(), b"192.0.2.1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub IpAddr);

/// The header in which a proxy says for whom it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedIn {
    /// `X-Forwarded-For`: a list of addresses, to which each proxy adds the one that it saw.
    XForwardedFor,
    /// `Forwarded`, of RFC 7239: the same list, with more about each.
    Forwarded,
    /// Another header, with one address or a list as in `X-Forwarded-For`. `X-Real-IP`, for one.
    Header(HeaderName),
}

/// The address that the request comes from, as text: `192.0.2.1`, `2001:db8::1`.
///
/// It is the [`PeerAddress`] of the connection, or what [`peer`](ClientAddress::peer) finds. No
/// header is believed, since anyone can send it, unless
/// [`behind_proxies`](ClientAddress::behind_proxies) says from whom.
pub fn client_address() -> ClientAddress {
    ClientAddress {
        peer: |extensions| extensions.get().map(|&PeerAddress(address)| address),
        proxies: Vec::new(),
        header: ForwardedIn::XForwardedFor,
    }
}

impl ClientAddress {
    /// Sets where the address of the connection's other end is found. Default: in [`PeerAddress`].
    ///
    /// # Examples
    ///
    /// In axum:
    ///
    /// ```
    /// # mod axum { pub mod extract { #[derive(Clone)] pub struct ConnectInfo<T>(pub T); } }
    /// use axum::extract::ConnectInfo;
    /// use evenkeel::http::key;
    /// use std::net::SocketAddr;
    ///
    /// let key = key::client_address().peer(|extensions| {
    ///     let info = extensions.get::<ConnectInfo<SocketAddr>>();
    ///     info.map(|ConnectInfo(peer)| peer.ip())
    /// });
    /// # let _ = key;
    /// ```
    pub fn peer(self, peer: fn(&Extensions) -> Option<IpAddr>) -> Self {
        Self { peer, ..self }
    }

    /// Believes a header, if the connection comes from one of these networks: the addresses of your
    /// own proxies.
    ///
    /// The list in the header is read from its end, as NGINX does with `real_ip_recursive`: as long
    /// as an address is that of a proxy, the one before it is believed. The first that is not, is
    /// the client's. What stands before that may be invented, and is not read. Where an entry is no
    /// address, the proxy that sent it counts as the client.
    ///
    /// # Errors
    ///
    /// The first text that is no network.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::http::key::{self, ForwardedIn, PeerAddress};
    /// use evenkeel::picker::hash::Key;
    /// use http::Request;
    ///
    /// let key = key::client_address().behind_proxies(["10.0.0.0/8"], ForwardedIn::XForwardedFor)?;
    /// let mut request = Request::get("/")
    ///     .header("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.0.0.2")
    ///     .body(())?;
    ///
    /// request.extensions_mut().insert(PeerAddress([10, 0, 0, 1].into()));
    /// assert_eq!(key.of(&request).unwrap().as_bytes(), b"198.51.100.7");
    ///
    /// request.extensions_mut().insert(PeerAddress([203, 0, 113, 9].into()));
    /// assert_eq!(key.of(&request).unwrap().as_bytes(), b"203.0.113.9");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn behind_proxies<N: AsRef<str>>(
        self,
        networks: impl IntoIterator<Item = N>,
        header: ForwardedIn,
    ) -> Result<Self, InvalidSetting> {
        let network = |network: N| {
            let given = network.as_ref();
            let address = || given.parse::<IpAddr>().map(IpNet::from);
            let network = given.parse().or_else(|_| address());
            network.map(canonical).map_err(|_| {
                let expected = "an address or a prefix, such as 10.0.0.0/8";
                InvalidSetting::new("network", format_args!("{given:?}"), expected)
            })
        };
        Ok(Self {
            proxies: networks
                .into_iter()
                .map(network)
                .collect::<Result<_, _>>()?,
            header,
            ..self
        })
    }

    /// Whose connection it is.
    pub(crate) fn peer_of(&self, extensions: &Extensions) -> Option<IpAddr> {
        (self.peer)(extensions).map(|peer| peer.to_canonical())
    }

    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        self.proxies
            .iter()
            .any(|network| network.contains(&address))
    }

    /// Who asks, by the connection and the headers that are to be believed.
    pub(crate) fn client(&self, extensions: &Extensions, headers: &HeaderMap) -> Option<IpAddr> {
        let mut client = self.peer_of(extensions)?;
        if !self.is_proxy(client) {
            return Some(client);
        }
        let lines = match &self.header {
            ForwardedIn::XForwardedFor => headers.get_all("x-forwarded-for"),
            ForwardedIn::Forwarded => headers.get_all(FORWARDED),
            ForwardedIn::Header(name) => headers.get_all(name),
        };
        let quotes = self.header == ForwardedIn::Forwarded;
        let entries = lines.iter().rev();
        let entries = entries.flat_map(|line| pieces(line.as_bytes(), b',', quotes));
        for entry in entries.filter(|entry| !entry.trim_ascii().is_empty()) {
            let address = match self.header {
                ForwardedIn::Forwarded => forwarded_for(entry).and_then(address),
                _ => address(entry),
            };
            let Some(address) = address else {
                break;
            };
            client = address;
            if !self.is_proxy(client) {
                break;
            }
        }
        Some(client)
    }
}

/// The `for` of an element of `Forwarded`.
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    pieces(element, b';', true).find_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (&pair[..equals], pair[equals + 1..].trim_ascii());
        let is_for = name.trim_ascii().eq_ignore_ascii_case(b"for");
        is_for.then_some(match value {
            [b'"', unquoted @ .., b'"'] => unquoted,
            _ => value,
        })
    })
}

/// What is between separators, the last first. Those within quotes are none.
///
/// Read from the end, where the nearest proxy writes: no quote of a client's, open or closed, can
/// change how that is read.
fn pieces(text: &[u8], separator: u8, quotes: bool) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let mut inside = false;
        for (at, &byte) in text.iter().enumerate().rev() {
            if byte == b'"' && quotes {
                let escapes = text[..at].iter().rev().take_while(|&&byte| byte == b'\\');
                // Where one ends, whatever is before it belongs to it.
                if !inside || escapes.count() % 2 == 0 {
                    inside = !inside;
                }
            } else if byte == separator && !inside {
                rest = Some(&text[..at]);
                return Some(&text[at + 1..]);
            }
        }
        rest = None;
        Some(text)
    })
}

/// IPv4 as such, where it is written as IPv6.
fn canonical(network: IpNet) -> IpNet {
    let mapped = match (network.addr().to_canonical(), network.prefix_len()) {
        (IpAddr::V4(address), length @ 96..) => Ipv4Net::new(address, length - 96).ok(),
        _ => None,
    };
    mapped.map_or(network, IpNet::from)
}

/// An address, with or without a port, in brackets or not.
fn address(text: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(text).ok()?.trim();
    // A port may be hidden behind a name.
    let text = text.split_once(":_").map_or(text, |(address, _)| address);
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address = bare.unwrap_or(text).parse::<IpAddr>();
    let address = address.or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    Some(address.ok()?.to_canonical())
}

impl<B> Key<Request<B>> for ClientAddress {
    fn of<'r>(&'r self, request: &'r Request<B>) -> Option<KeyBytes<'r>> {
        Some(self.client(request.extensions(), request.headers())?.into())
    }
}
