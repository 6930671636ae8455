use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64;

use super::modulo::Line;
use super::place::Place;
use super::ring::{Point, Ring, points_of};
use super::table::{Built, Found};

/// NGINX's `hash key;`: the same key goes to the same server.
///
/// For moving over from NGINX, or to agree with it: list the same servers in the same order with
/// the same weights and, as ids or [hash keys](crate::Backend::hash_key), the names in the
/// configuration. [`Modulo`](super::Modulo) has the same properties and is faster.
///
/// # Algorithm
///
/// Of the key's CRC-32, bits 16 to 30, modulo the sum of weights, counted off along the list. When
/// that server is out, the number of the try is put before the key and the result added to the last
/// one. NGINX turns to round robin after 20 tries; here the key keeps an order of its own. Tries
/// are not independent, as CRC-32 is linear, so the keys of a server that is out are divided over
/// the others unevenly, here as there.
///
/// # References
///
/// NGINX, `ngx_http_upstream_hash_module.c`; Perl's `Cache::Memcached`.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::hash::{Keyed, NginxHash};
///
/// // hash $request_uri;
/// let picker = Keyed::new(NginxHash::new(), evenkeel::http::key::uri());
/// # let _ = picker;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct NginxHash(());

/// NGINX's `hash key consistent;`: the same key goes to the same server, on a ketama ring.
///
/// For moving over from NGINX without losing a warm cache: ids or
/// [hash keys](crate::Backend::hash_key) are the names of the servers as they stand in the
/// configuration, and weights are the same.
///
/// # Algorithm
///
/// 160 points for each unit of weight. The first is the CRC-32 of host, a zero byte, port, and four
/// zero bytes; for each further one the last four bytes are those of the point before. A key
/// belongs to the first point at or after its own CRC-32.
///
/// 16 bytes for each point. NGINX has no limit to them; here, should they be more than
/// 8,388,608, all servers have as many less as it takes.
///
/// # References
///
/// NGINX, `ngx_http_upstream_hash_module.c`; Perl's `Cache::Memcached::Fast`.
///
/// # Examples
///
/// ```
/// use evenkeel::http::key;
/// use evenkeel::picker::hash::{Keyed, NginxConsistent};
///
/// // hash $http_x_user consistent;
/// let picker = Keyed::new(NginxConsistent::new(), key::header("x-user")?);
/// # let _ = picker;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct NginxConsistent(());

/// NGINX's `ip_hash;`: the same client address goes to the same server.
///
/// The key is the text of an address. Of an IPv4 address the first three bytes count, of an IPv6
/// address all; so 255 neighbours share a backend. A key that is no address is treated as NGINX
/// treats Unix sockets: all go to one server.
///
/// # Algorithm
///
/// h = 89, then for each byte h = (113 h + byte) mod 6271; the result modulo the sum of weights,
/// counted off along the list. When that server is out, the same again from the last h on.
///
/// # References
///
/// NGINX, `ngx_http_upstream_ip_hash_module.c`.
///
/// # Examples
///
/// ```
/// use evenkeel::http::key;
/// use evenkeel::picker::hash::{Keyed, NginxIpHash};
///
/// let picker = Keyed::new(NginxIpHash::new(), key::client_address());
/// # let _ = picker;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct NginxIpHash(());

/// NGINX itself gives up after so many.
const TRIES: u8 = 20;

const MOST_POINTS: u64 = 1 << 23;

impl NginxHash {
    /// Creates the algorithm.
    pub fn new() -> Self {
        Self::default()
    }
}

impl NginxConsistent {
    /// Creates the algorithm.
    pub fn new() -> Self {
        Self::default()
    }
}

impl NginxIpHash {
    /// Creates the algorithm.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Built for NginxHash {
    type Map = Line;

    fn build(&self, places: &[Place]) -> Line {
        Line::of(places)
    }

    fn find(line: &Line, key: &[u8], mut accept: impl FnMut(u32) -> Option<usize>) -> Found {
        let mut sum = 0_u64;
        for attempt in 0..=TRIES {
            let mut hash = crc32fast::Hasher::new();
            let digits = [b'0' + attempt / 10, b'0' + attempt % 10];
            match attempt {
                0 => {}
                1..10 => hash.update(&digits[1..]),
                _ => hash.update(&digits),
            }
            hash.update(key);
            sum += u64::from((hash.finalize() >> 16) & 0x7fff);
            let number = sum.checked_rem(line.total()).unwrap_or(0);
            if let Some(rank) = line.at(number).and_then(&mut accept) {
                return Found::Rank(rank);
            }
        }
        Found::Nobody(xxh3_64(key))
    }
}

impl Built for NginxConsistent {
    type Map = Ring<u32>;

    fn build(&self, places: &[Place]) -> Ring<u32> {
        let points_of = points_of(places, 160, MOST_POINTS);
        Ring::new(places.iter().flat_map(|place| {
            let (host, port) = host_and_port(&place.name);
            let mut base = crc32fast::Hasher::new();
            base.update(host);
            base.update(&[0]);
            base.update(port);
            let mut previous = 0_u32;
            let point = move |_| {
                let mut hash = base.clone();
                hash.update(&previous.to_le_bytes());
                previous = hash.finalize();
                Point {
                    hash: previous,
                    slot: place.slot,
                }
            };
            (0..points_of(place)).map(point)
        }))
    }

    fn find(ring: &Ring<u32>, key: &[u8], accept: impl FnMut(u32) -> Option<usize>) -> Found {
        ring.find(crc32fast::hash(key), || xxh3_64(key), accept)
    }
}

/// The port is what follows the last colon, if that is digits only.
fn host_and_port(name: &str) -> (&[u8], &[u8]) {
    if let Some(path) = name.get(5..)
        && name[..5].eq_ignore_ascii_case("unix:")
    {
        return (path.as_bytes(), b"");
    }
    match name.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            (host.as_bytes(), port.as_bytes())
        }
        _ => (name.as_bytes(), b""),
    }
}

impl Built for NginxIpHash {
    type Map = Line;

    fn build(&self, places: &[Place]) -> Line {
        Line::of(places)
    }

    fn find(line: &Line, key: &[u8], mut accept: impl FnMut(u32) -> Option<usize>) -> Found {
        let address = str::from_utf8(key).ok().and_then(|text| text.parse().ok());
        let mut bytes = [0; 16];
        let bytes = match address {
            Some(IpAddr::V4(address)) => {
                bytes[..4].copy_from_slice(&address.octets());
                &bytes[..3]
            }
            Some(IpAddr::V6(address)) => {
                bytes = address.octets();
                &bytes[..]
            }
            None => &bytes[..3],
        };
        let mut hash = 89;
        for _ in 0..=TRIES {
            for &byte in bytes {
                hash = (hash * 113 + u64::from(byte)) % 6271;
            }
            let number = hash.checked_rem(line.total()).unwrap_or(0);
            if let Some(rank) = line.at(number).and_then(&mut accept) {
                return Found::Rank(rank);
            }
        }
        Found::Nobody(xxh3_64(bytes))
    }
}
