use std::cmp::Reverse;
use std::collections::BinaryHeap;

use xxhash_rust::xxh3::xxh3_64;

use super::place::Place;
use super::table::{Built, Found};
use crate::InvalidSetting;
use crate::random::{below, mix};

/// A table of slots, as Google's Maglev has it: even shares, and the fastest lookup.
///
/// # When to use
///
/// The first choice for caches and shards: with up to some hundred backends, shares are within a
/// per cent. When a backend leaves, up to 1 % of the keys of others move as well; where none may,
/// use [`RingHash`](super::RingHash) or [`Rendezvous`](super::Rendezvous).
///
/// # Algorithm
///
/// Each backend has its own order in which it likes the slots of the table: from `offset` on, every
/// `skip`-th, both from the hash of its hash key. In turns, each claims the slot that it likes most
/// of those that are free. The turns of a backend of weight w come at the times (2i + 1) / 2w, so
/// that a backend that comes or goes does not change the order among the others; the paper, which
/// has equal weights, is the case w = 1. The order of the members does not matter.
///
/// A backend that is out is stepped over: the key is hashed again, until a slot's owner can be
/// picked.
///
/// The table has 65,537 slots, as Envoy's. Shares are even to within a hundredth for one backend
/// for each hundred slots; with more backends, take [a larger one](Self::with_size). A backend
/// whose share is below half a slot has no keys.
///
/// A lookup is O(1): one hash and one look into a table of 4 bytes for each slot, 262 KB. Built in
/// O(m log m) for m slots.
///
/// # References
///
/// Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016,
/// section 3.4.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::Context;
/// use evenkeel::picker::hash::{Keyed, Maglev, WholeRequest};
/// use evenkeel::{Backend, Pool};
/// use evenkeel::picker::Selector;
///
/// let pool = Pool::from([Backend::new("a", 1), Backend::new("b", 2)]);
/// let selector = Selector::new(pool, Keyed::new(Maglev::new(), WholeRequest));
/// let (shard, _completion) = selector.select("key").unwrap();
/// assert_eq!(selector.select("key").unwrap().0, shard);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Maglev {
    size: u32,
}

/// The slot of the member who has each slot of the table.
#[derive(Debug)]
pub struct Slots(Box<[u32]>);

/// How one backend likes the table's slots.
pub(super) struct Permutation {
    next: u32,
    skip: u32,
    size: u32,
}

/// Who has which slot of the table, while it is built.
pub(super) struct Claims {
    owners: Vec<u32>,
    /// A bit for each slot. Small enough to stay in the nearest cache, unlike the owners.
    taken: Vec<u64>,
    free: usize,
}

const SIZE: u32 = 65_537;
const MOST: u32 = 5_000_011;

/// So many slots are tried before the rest is left to the ranking.
const TRIES: usize = 64;

impl Maglev {
    /// Creates the algorithm with a table of 65,537 slots.
    pub fn new() -> Self {
        Self { size: SIZE }
    }

    /// Creates it with a table of another size: a prime of up to 5,000,011. A hundred slots for
    /// each backend keep shares within a hundredth.
    ///
    /// # Errors
    ///
    /// When the size is not a prime or too large.
    pub fn with_size(size: u32) -> Result<Self, InvalidSetting> {
        check_size(size).map(|size| Self { size })
    }
}

pub(super) fn check_size(size: u32) -> Result<u32, InvalidSetting> {
    let divides = |divisor: u32| size.is_multiple_of(divisor);
    let prime = size >= 2 && !(2..=size.isqrt()).any(divides);
    if prime && size <= MOST {
        Ok(size)
    } else {
        let expected = "a prime from 2 to 5000011";
        Err(InvalidSetting::new("table size", size, expected))
    }
}

impl Default for Maglev {
    fn default() -> Self {
        Self::new()
    }
}

impl Permutation {
    pub(super) fn new(offset: u64, skip: u64, size: u32) -> Self {
        Self {
            next: (offset % u64::from(size)) as u32,
            skip: (skip % u64::from((size - 1).max(1))) as u32 + 1,
            size,
        }
    }

    fn advance(&mut self) -> u32 {
        let slot = self.next;
        let next = u64::from(slot) + u64::from(self.skip);
        self.next = (next % u64::from(self.size)) as u32;
        slot
    }
}

impl Claims {
    pub(super) fn new(size: u32) -> Self {
        Self {
            owners: vec![0; size as usize],
            taken: vec![0; (size as usize).div_ceil(64)],
            free: size as usize,
        }
    }

    /// Gives an owner the next free slot of its permutation. Returns whether any is left after it.
    pub(super) fn claim(&mut self, permutation: &mut Permutation, owner: u32) -> bool {
        if self.free == 0 {
            return false;
        }
        let slot = loop {
            let slot = permutation.advance() as usize;
            let (word, bit) = (&mut self.taken[slot / 64], 1 << (slot % 64));
            if *word & bit == 0 {
                *word |= bit;
                break slot;
            }
        };
        self.owners[slot] = owner;
        self.free -= 1;
        self.free > 0
    }

    /// Without any claim there is no table.
    pub(super) fn into_slots(mut self) -> Slots {
        if self.free == self.owners.len() {
            self.owners.clear();
        }
        Slots(self.owners.into())
    }
}

impl Slots {
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[inline]
    pub(super) fn owner(&self, at: usize) -> Option<u32> {
        self.0.get(at).copied()
    }
}

impl Built for Maglev {
    type Map = Slots;

    fn build(&self, places: &[Place]) -> Slots {
        let mut places: Vec<&Place> = places.iter().filter(|place| place.weight > 0).collect();
        places.sort_by_key(|place| place.hash);
        let mut permutations: Vec<_> = places
            .iter()
            .map(|place| {
                let (offset, skip) = (mix(place.hash), mix(!place.hash));
                Permutation::new(offset, skip, self.size)
            })
            .collect();

        let mut claims = Claims::new(self.size);
        // In units of half a turn of weight 1.
        let time = |turn: u64, at: usize| (2 * turn + 1) as f64 / f64::from(places[at].weight);
        let mut turns: BinaryHeap<_> = (0..places.len())
            .map(|at| Reverse((Time(time(0, at)), at, 0)))
            .collect();
        while let Some(mut next) = turns.peek_mut() {
            let Reverse((_, at, turn)) = *next;
            if !claims.claim(&mut permutations[at], places[at].slot) {
                break;
            }
            *next = Reverse((Time(time(turn + 1, at)), at, turn + 1));
        }
        claims.into_slots()
    }

    #[inline]
    fn find(slots: &Slots, key: &[u8], mut accept: impl FnMut(u32) -> Option<usize>) -> Found {
        let hash = xxh3_64(key);
        let mut again = hash;
        for _ in 0..TRIES {
            let at = below(again, slots.len() as u64) as usize;
            if let Some(rank) = slots.owner(at).and_then(&mut accept) {
                return Found::Rank(rank);
            }
            again = mix(again);
        }
        Found::Nobody(hash)
    }
}

/// A finite time.
#[derive(Clone, Copy, PartialEq)]
struct Time(f64);

impl Eq for Time {}

impl PartialOrd for Time {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Time {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
