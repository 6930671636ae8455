use xxhash_rust::xxh3::xxh3_64;

use super::place::Place;
use super::ring::{Point, Ring};
use super::table::{Built, Found};

/// The ring of libketama, the original: MD5, and 160 points for a server of average weight.
///
/// For moving over from libketama without losing a warm cache: ids or
/// [hash keys](crate::Backend::hash_key) are the names in its list of servers, and weights their
/// memory. Where nothing has to be matched, [`RingHash`](super::RingHash) is faster, and the points
/// of one server do not depend on the weights of others.
///
/// # Algorithm
///
/// Of n servers, one with the share s of all weights has ⌊40 × s × n⌋ × 4 points, in single
/// precision as libketama computes it: the four little-endian words of the MD5 of its name, a
/// hyphen, and a number. A key belongs to the first point at or after the first word of its own
/// MD5.
///
/// # References
///
/// Richard Jones, libketama, Last.fm, 2007: `ketama.c`.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::hash::{Keyed, Libketama, WholeRequest};
///
/// let picker = Keyed::new(Libketama::new(), WholeRequest);
/// # let _ = picker;
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Libketama(());

impl Libketama {
    /// Creates the algorithm.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Built for Libketama {
    type Map = Ring<u32>;

    fn build(&self, places: &[Place]) -> Ring<u32> {
        let all: u64 = places.iter().map(|place| u64::from(place.weight)).sum();
        // libketama does not take servers without memory.
        let places = places.iter().filter(|place| place.weight > 0);
        let servers = places.clone().count();
        Ring::new(places.flat_map(|place| {
            let share = place.weight as f32 / all.max(1) as f32;
            let digests = f64::from(share) * 40.0 * servers as f64;
            let digests = (digests as f32).floor() as u32;
            (0..digests).flat_map(move |number| {
                let digest = md5::compute(format!("{}-{number}", place.name)).0;
                let word = |at: usize| Point {
                    hash: word(&digest, at),
                    slot: place.slot,
                };
                [0, 1, 2, 3].map(word)
            })
        }))
    }

    fn find(ring: &Ring<u32>, key: &[u8], accept: impl FnMut(u32) -> Option<usize>) -> Found {
        let hash = word(&md5::compute(key).0, 0);
        ring.find(hash, || xxh3_64(key), accept)
    }
}

/// A little-endian word of a digest.
fn word(digest: &[u8; 16], at: usize) -> u32 {
    let bytes = digest[4 * at..4 * at + 4].iter().rev();
    bytes.fold(0, |word, &byte| word << 8 | u32::from(byte))
}
