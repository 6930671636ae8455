use xxhash_rust::xxh3::xxh3_64;

use super::place::Place;
use super::table::{Built, Found};

/// Highest random weight: every backend has a score for each key, and the highest wins.
///
/// # When to use
///
/// With up to a hundred or so backends: shares as even as chance, no key moves but those of the
/// backend that comes or goes, and nothing to tune. With more, [`Maglev`](super::Maglev) and
/// [`RingHash`](super::RingHash) are faster.
///
/// # Algorithm
///
/// The score of a backend of weight w is −w / ln u, with u from the hashes of the key and of the
/// backend's hash key; so each wins in proportion to its weight. Among backends of the same weight
/// the largest u wins, so that a logarithm is needed for each different weight only. A backend that
/// is out leaves each of its keys to the next highest score.
///
/// A lookup is O(n): about 1 ns for each backend, and 10 ns for each different weight. 12 bytes for
/// each backend.
///
/// # References
///
/// Thaler and Ravishankar, "A Name-Based Mapping Scheme for Rendezvous", 1996; Schindelhauer and
/// Schomaker, "Weighted Distributed Hash Tables", SPAA 2005.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::Context;
/// use evenkeel::picker::hash::{Keyed, Rendezvous, WholeRequest};
/// use evenkeel::Picker;
///
/// let picker = Keyed::new(Rendezvous::new(), WholeRequest);
/// assert!(picker.pick(&[("a", 1), ("b", 3)], "key", &mut Context::new()).is_some());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Rendezvous(());

impl Rendezvous {
    /// Creates the algorithm.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Built for Rendezvous {
    /// The ranking is all that it takes.
    type Map = ();

    fn build(&self, _places: &[Place]) {}

    #[inline]
    fn find((): &(), key: &[u8], _accept: impl FnMut(u32) -> Option<usize>) -> Found {
        Found::Nobody(xxh3_64(key))
    }
}
