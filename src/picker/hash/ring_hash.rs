use xxhash_rust::xxh3::xxh3_64;

use super::place::Place;
use super::ring::{Point, Ring, points_of};
use super::table::{Built, Found};
use crate::InvalidSetting;
use crate::random::{PHI, mix};

/// A ring, as ketama has it: each backend has points on a circle, and a key goes to the next point.
///
/// # When to use
///
/// When no key of a healthy backend may ever move needlessly and there are more than some hundred
/// backends. Shares are less even than those of [`Maglev`](super::Maglev), which is also faster,
/// and those of [`Rendezvous`](super::Rendezvous), which looks at every backend.
///
/// # Algorithm
///
/// A backend of weight w has 320 × w points. They depend on nothing but its hash key, so that a
/// backend that comes or goes moves its own keys only. The standard deviation of a share is 1/√320
/// = 5.6 % of it.
///
/// A lookup is O(1): where a point stands in the list is computed from its hash. 16 bytes for each
/// point, so 5 KB for each unit of weight: where weights are large, such as 100 for each, divide
/// them or take [fewer points](Self::with_points). Built in O(p log p) for p points.
///
/// There are 4,194,304 points at most, or 320 for each backend, if that is more: 64 MB. Where
/// weights add up to more than that (13,107 with 320 points each), all backends have as many points
/// less as it takes, and at least one. Then a change of the set moves keys of others as well, about
/// as many as it would have to.
///
/// Point i of a backend is the i-th output of splitmix64 seeded with the XXH3 hash of its hash key;
/// a key's place is its XXH3 hash; of both the leading 32 bits.
///
/// # References
///
/// Karger et al., "Consistent Hashing and Random Trees", STOC 1997; libketama, 2007.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::Context;
/// use evenkeel::picker::hash::{Keyed, RingHash, WholeRequest};
/// use evenkeel::Picker;
///
/// let picker = Keyed::new(RingHash::new(), WholeRequest);
/// let of = |set: &[&str], key| {
///     let rank = picker.pick(&set, key, &mut Context::new());
///     set[rank.unwrap()].to_owned()
/// };
/// // Without c, only the keys that c had are elsewhere.
/// for key in ["k1", "k2", "k3", "k4", "k5"] {
///     let before = of(&["a", "b", "c"], key);
///     assert!(before == "c" || before == of(&["a", "b"], key));
/// }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct RingHash {
    points: u32,
}

const POINTS: u32 = 320;
const MOST_POINTS: u64 = 1 << 22;

impl RingHash {
    /// Creates the algorithm with 320 points for each unit of weight.
    pub fn new() -> Self {
        Self { points: POINTS }
    }

    /// Creates it with another number of points for each unit of weight: 1 to 65,536. The standard
    /// deviation of shares is 1/√points.
    ///
    /// # Errors
    ///
    /// When the number is out of range.
    pub fn with_points(points: u32) -> Result<Self, InvalidSetting> {
        match points {
            1..=65_536 => Ok(Self { points }),
            _ => Err(InvalidSetting::new(
                "number of points",
                points,
                "1 to 65536 for each unit of weight",
            )),
        }
    }
}

impl Default for RingHash {
    fn default() -> Self {
        Self::new()
    }
}

impl Built for RingHash {
    type Map = Ring<u32>;

    fn build(&self, places: &[Place]) -> Ring<u32> {
        let most = MOST_POINTS.max(u64::from(POINTS) * places.len() as u64);
        let points_of = points_of(places, self.points, most);
        // Of two points at the same place the first counts, in whatever order members are listed.
        let mut places: Vec<&Place> = places.iter().collect();
        places.sort_by_key(|place| place.hash);
        Ring::new(places.into_iter().flat_map(|place| {
            let point = |number: u64| Point {
                hash: leading(mix(place.hash.wrapping_add(number.wrapping_mul(PHI)))),
                slot: place.slot,
            };
            (0..points_of(place)).map(point)
        }))
    }

    #[inline]
    fn find(ring: &Ring<u32>, key: &[u8], accept: impl FnMut(u32) -> Option<usize>) -> Found {
        let hash = xxh3_64(key);
        ring.find(leading(hash), || hash, accept)
    }
}

/// The place of a hash on a circle of 32 bits.
#[inline]
fn leading(hash: u64) -> u32 {
    (hash >> 32) as u32
}
