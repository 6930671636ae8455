use xxhash_rust::xxh3::xxh3_64;
use xxhash_rust::xxh64::xxh64;

use super::place::Place;
use super::ring::{Point, Ring};
use super::slots::{Claims, Permutation, Slots, check_size};
use super::table::{Built, Found};
use crate::InvalidSetting;

/// Envoy's `RING_HASH` policy with its default hash function, xxHash64.
///
/// For moving over from Envoy, or to agree with it: ids or [hash keys](crate::Backend::hash_key)
/// are the hosts' addresses, `10.0.0.1:8080`, or what `hash_key` in their metadata says. Where
/// nothing has to be matched use [`RingHash`](super::RingHash): there, a backend's points do not
/// depend on how many others there are.
///
/// # Algorithm
///
/// With weights that add up to 1, and the least of them m: scale = min(⌈m × minimum⌉ / m,
/// maximum). Hosts have points until their number reaches the sum of scale × weight so far; point i
/// is the xxHash64 of the address, an underscore, and i. A key belongs to the first point at or
/// after its own xxHash64, as one `hash_policy` of a route gives it.
///
/// Envoy builds its ring of the hosts that are healthy; here it is built of all, and those that are
/// out are stepped over, so that no key of a healthy one moves.
///
/// # References
///
/// Envoy, `source/extensions/load_balancing_policies/ring_hash/ring_hash_lb.cc`.
///
/// # Examples
///
/// ```
/// use evenkeel::http::key;
/// use evenkeel::picker::hash::{EnvoyRingHash, Keyed};
///
/// let table = EnvoyRingHash::with_ring_size(4_096, 8_388_608)?;
/// let picker = Keyed::new(table, key::header("x-user")?);
/// # let _ = picker;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct EnvoyRingHash {
    minimum: u32,
    maximum: u32,
}

/// Envoy's `MAGLEV` policy.
///
/// For moving over from Envoy, or to agree with it: ids or [hash keys](crate::Backend::hash_key)
/// are the hosts' addresses, `10.0.0.1:8080`, or what `hash_key` in their metadata says. Where
/// nothing has to be matched use [`Maglev`](super::Maglev): with weights, fewer keys move when a
/// backend comes or goes.
///
/// # Algorithm
///
/// The paper's, with xxHash64(address) mod size as offset, and as skip one more than xxHash64 with
/// seed 1 mod size less one, in the order of the addresses. In each round, those hosts claim a slot
/// whose weight times the round's number has reached their target, which is then raised by the
/// largest weight. A key goes to the owner of slot xxHash64 mod size; when that one is out, as in
/// Envoy's next attempts, the hash is changed by exclusive or with -1, -2 and so on.
///
/// # References
///
/// Envoy, `source/extensions/load_balancing_policies/maglev/maglev_lb.cc`.
///
/// # Examples
///
/// ```
/// use evenkeel::http::key;
/// use evenkeel::picker::hash::{EnvoyMaglev, Keyed};
///
/// let picker = Keyed::new(EnvoyMaglev::new(), key::header("x-user")?);
/// # let _ = picker;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct EnvoyMaglev {
    size: u32,
}

const MINIMUM: u32 = 1_024;
const MOST: u32 = 8_388_608;
const SIZE: u32 = 65_537;
const TRIES: u64 = 64;

impl EnvoyRingHash {
    /// Creates the algorithm with Envoy's default ring size: at least 1,024, at most 8,388,608.
    pub fn new() -> Self {
        Self {
            minimum: MINIMUM,
            maximum: MOST,
        }
    }

    /// Creates it with another `minimum_ring_size` and `maximum_ring_size`.
    ///
    /// # Errors
    ///
    /// When the minimum is 0 or above the maximum, or that above 8,388,608.
    pub fn with_ring_size(minimum: u32, maximum: u32) -> Result<Self, InvalidSetting> {
        if (1..=maximum).contains(&minimum) && maximum <= MOST {
            Ok(Self { minimum, maximum })
        } else {
            let expected = "a minimum from 1 to the maximum, and that up to 8388608";
            let given = format_args!("{minimum} to {maximum}");
            Err(InvalidSetting::new("ring size", given, expected))
        }
    }
}

impl EnvoyMaglev {
    /// Creates the algorithm with Envoy's default table size of 65,537.
    pub fn new() -> Self {
        Self { size: SIZE }
    }

    /// Creates it with another `table_size`: a prime of up to 5,000,011.
    ///
    /// # Errors
    ///
    /// When the size is not a prime or too large.
    pub fn with_size(size: u32) -> Result<Self, InvalidSetting> {
        check_size(size).map(|size| Self { size })
    }
}

impl Default for EnvoyRingHash {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for EnvoyMaglev {
    fn default() -> Self {
        Self::new()
    }
}

/// The places with a weight, and what share of all weights each has.
fn shares(places: &[Place]) -> Vec<(&Place, f64)> {
    let all: u64 = places.iter().map(|place| u64::from(place.weight)).sum();
    let places = places.iter().filter(|place| place.weight > 0);
    let share = |place: &Place| f64::from(place.weight) / all as f64;
    places.map(|place| (place, share(place))).collect()
}

impl Built for EnvoyRingHash {
    type Map = Ring<u64>;

    fn build(&self, places: &[Place]) -> Ring<u64> {
        let places = shares(places);
        let least = places.iter().map(|&(_, share)| share).fold(1.0, f64::min);
        let scale = (least * f64::from(self.minimum)).ceil() / least;
        let scale = scale.min(f64::from(self.maximum));

        let mut points = Vec::new();
        let mut target = 0.0;
        for (place, share) in places {
            target += scale * share;
            let mut number = 0;
            while (points.len() as f64) < target {
                let name = format!("{}_{number}", place.name);
                points.push(Point {
                    hash: xxh64(name.as_bytes(), 0),
                    slot: place.slot,
                });
                number += 1;
            }
        }
        Ring::new(points.into_iter())
    }

    fn find(ring: &Ring<u64>, key: &[u8], accept: impl FnMut(u32) -> Option<usize>) -> Found {
        ring.find(xxh64(key, 0), || xxh3_64(key), accept)
    }
}

impl Built for EnvoyMaglev {
    type Map = Slots;

    fn build(&self, places: &[Place]) -> Slots {
        let mut places = shares(places);
        places.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        let heaviest = places.iter().map(|&(_, share)| share).fold(0.0, f64::max);
        let mut hosts: Vec<_> = places
            .iter()
            .map(|&(place, share)| {
                let name = place.name.as_bytes();
                let permutation = Permutation::new(xxh64(name, 0), xxh64(name, 1), self.size);
                (permutation, place.slot, share, 0.0)
            })
            .collect();
        let mut claims = Claims::new(self.size);
        let mut round = 0.0;
        let mut open = !hosts.is_empty();
        while open {
            round += 1.0;
            for (permutation, slot, share, target) in &mut hosts {
                if round * *share >= *target {
                    *target += heaviest;
                    open = open && claims.claim(permutation, *slot);
                }
            }
        }
        claims.into_slots()
    }

    fn find(slots: &Slots, key: &[u8], mut accept: impl FnMut(u32) -> Option<usize>) -> Found {
        let hash = xxh64(key, 0);
        let size = slots.len().max(1) as u64;
        for attempt in 0..TRIES {
            let hash = hash ^ attempt.wrapping_neg();
            let owner = slots.owner((hash % size) as usize);
            if let Some(rank) = owner.and_then(&mut accept) {
                return Found::Rank(rank);
            }
        }
        Found::Nobody(xxh3_64(key))
    }
}
