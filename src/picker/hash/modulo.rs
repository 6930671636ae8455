use xxhash_rust::xxh3::xxh3_64;

use super::place::Place;
use super::table::{Built, Found};
use crate::random::mix;

/// The key's hash modulo the sum of all weights, counted off along the list of members.
///
/// # When to use
///
/// For shards that never change, or to agree with others who divide. When a member comes or goes,
/// nearly all keys move: of n backends, about 1 key in n stays. Otherwise use
/// [`Maglev`](super::Maglev), which is as fast.
///
/// # Algorithm
///
/// Members in the order of [`Pool::list`](crate::Pool::list) take up as many numbers as their
/// weights; the key goes to the one that has its XXH3 hash modulo the sum. A backend that is out
/// keeps its numbers; its keys are hashed again.
///
/// O(1) with equal weights, O(log n) otherwise; 12 bytes for each backend.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::Context;
/// use evenkeel::picker::hash::{Keyed, Modulo, WholeRequest};
/// use evenkeel::Picker;
///
/// let picker = Keyed::new(Modulo::new(), WholeRequest);
/// assert!(picker.pick(&["shard-0", "shard-1"], "key", &mut Context::new()).is_some());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use]
pub struct Modulo(());

/// Members side by side, each as wide as its weight.
#[derive(Debug)]
pub struct Line {
    slots: Box<[u32]>,
    /// Where each ends.
    ends: Box<[u64]>,
    /// The width of all, if it is the same.
    width: Option<u64>,
}

const TRIES: usize = 64;

impl Modulo {
    /// Creates the algorithm.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Line {
    pub(super) fn of(places: &[Place]) -> Self {
        let places = || places.iter().filter(|place| place.weight > 0);
        let mut end = 0;
        let ends = places().map(|place| {
            end += u64::from(place.weight);
            end
        });
        let first = places().next().map(|place| place.weight);
        let width = first.filter(|&width| places().all(|place| place.weight == width));
        Self {
            ends: ends.collect(),
            slots: places().map(|place| place.slot).collect(),
            width: width.map(u64::from),
        }
    }

    #[inline]
    pub(super) fn total(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Returns the slot of the member that has a number, below the total.
    #[inline]
    pub(super) fn at(&self, number: u64) -> Option<u32> {
        let at = match self.width {
            Some(1) => number as usize,
            Some(width) => (number / width) as usize,
            None => self.ends.partition_point(|&end| end <= number),
        };
        self.slots.get(at).copied()
    }
}

impl Built for Modulo {
    type Map = Line;

    fn build(&self, places: &[Place]) -> Line {
        Line::of(places)
    }

    #[inline]
    fn find(line: &Line, key: &[u8], mut accept: impl FnMut(u32) -> Option<usize>) -> Found {
        let hash = xxh3_64(key);
        let mut again = hash;
        for _ in 0..TRIES {
            let number = again.checked_rem(line.total()).unwrap_or(0);
            if let Some(rank) = line.at(number).and_then(&mut accept) {
                return Found::Rank(rank);
            }
            again = mix(again);
        }
        Found::Nobody(hash)
    }
}
