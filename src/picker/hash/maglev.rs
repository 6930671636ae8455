use std::cmp::Reverse;
use std::collections::binary_heap::PeekMut;
use std::collections::{BTreeMap, BinaryHeap};

use xxhash_rust::xxh3::xxh3_64;

use super::place::Place;
use super::slots::{Claims, Permutation, Slots, check_size};
use super::table::{Built, Found};
use crate::InvalidSetting;
use crate::random::{below, mix};

/// A table of slots, as Google's Maglev has it: even shares, and the fastest lookup.
///
/// # When to use
///
/// The first choice for caches and shards: with up to some hundred backends, shares are within a
/// per cent. When a backend leaves, less than half a per cent of all keys move that were not its
/// own, and about 2 % when one of a thousand leaves that has half of the weight; where none may,
/// use [`RingHash`](super::RingHash) or [`Rendezvous`](super::Rendezvous).
///
/// # Algorithm
///
/// Each backend has its own order in which it asks for the slots of the table: from `offset` on,
/// every `skip`-th, both from the hash of its hash key. As in Maglev, a slot belongs to whoever
/// asks for it first. Unlike in Maglev, whoever asks in vain waits for its next turn, and turns
/// come at fixed times: of a backend of weight w the j-th of m comes at (1/m + 1/(m−1) + … +
/// 1/(m−j)) / w. These are the times at which the slots would come up, on average, if each came to
/// each backend at random with a rate of w; then the first to have it is the winner of [rendezvous
/// hashing](super::Rendezvous). A backend that has its share of the slots, rounded, asks for no
/// more, so that shares are even to the slot.
///
/// So a backend that comes or goes does not change when others ask, and with what result only where
/// a share is reached: with weights that are not far apart, about half as many keys move needlessly
/// as by the paper's turns, in which whoever asks in vain asks on. The order of the members does
/// not matter.
///
/// A backend that is out is stepped over: the key is hashed again, until a slot's owner can be
/// picked.
///
/// The table has 65,537 slots, as Envoy's. With more than one backend for each hundred slots, take
/// [a larger one](Self::with_size): shares are whole slots. A backend whose share is below one slot
/// may have none.
///
/// A lookup is O(1): one hash and one look into a table of 4 bytes for each slot, 262 KB. Built in
/// O(m log m) for m slots, and O(m log m log k) with k different weights.
///
/// # References
///
/// Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016,
/// section 3.4; Gale and Shapley, "College Admissions and the Stability of Marriage", 1962, for
/// shares as quotas.
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

const SIZE: u32 = 65_537;

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

impl Default for Maglev {
    fn default() -> Self {
        Self::new()
    }
}

impl Built for Maglev {
    type Map = Slots;

    fn build(&self, places: &[Place]) -> Slots {
        let mut places: Vec<&Place> = places.iter().filter(|place| place.weight > 0).collect();
        places.sort_by_key(|place| place.hash);
        let mut askers: Vec<Asker> = places
            .iter()
            .zip(quotas(&places, self.size))
            .map(|(place, quota)| Asker {
                permutation: Permutation::new(mix(place.hash), mix(!place.hash), self.size),
                slot: place.slot,
                quota,
            })
            .collect();

        // Those of the same weight ask at the same times, one after the other.
        let mut classes: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        for (at, place) in places.iter().enumerate() {
            if askers[at].quota > 0 {
                classes.entry(place.weight).or_default().push(at);
            }
        }
        let mut classes: Vec<Class> = classes
            .into_iter()
            .map(|(weight, members)| Class::new(weight, members, self.size))
            .collect();
        let turns = classes.iter().enumerate();
        let mut turns: BinaryHeap<_> = turns.map(|(at, class)| class.turn(at)).collect();

        let mut claims = Claims::new(self.size);
        // As long as one asks for more there is a free slot, which it will ask for before it has
        // asked for all.
        while let Some(mut turn) = turns.peek_mut() {
            let Reverse((_, at)) = *turn;
            let class = &mut classes[at];
            class.members.retain(|&at| askers[at].ask(&mut claims));
            if class.members.is_empty() {
                PeekMut::pop(turn);
            } else {
                class.advance(self.size);
                *turn = class.turn(at);
            }
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

/// One backend, while the table is built.
struct Asker {
    permutation: Permutation,
    slot: u32,
    /// How many slots it still may have.
    quota: u32,
}

/// All backends of one weight.
struct Class {
    weight: f64,
    members: Vec<usize>,
    /// Which turn is next.
    number: u32,
    /// 1/m + … + 1/(m − number).
    sum: f64,
}

impl Asker {
    /// Asks for the next slot of its permutation. Returns whether it will ask again.
    fn ask(&mut self, claims: &mut Claims) -> bool {
        let slot = self.permutation.advance();
        if claims.take(slot, self.slot) {
            self.quota -= 1;
        }
        self.quota > 0
    }
}

impl Class {
    fn new(weight: u32, members: Vec<usize>, size: u32) -> Self {
        Self {
            weight: f64::from(weight),
            members,
            number: 0,
            sum: 1.0 / f64::from(size),
        }
    }

    /// When the next turn is, and of which class. Times are positive, and so are in the order of
    /// their bits.
    fn turn(&self, at: usize) -> Reverse<(u64, usize)> {
        Reverse(((self.sum / self.weight).to_bits(), at))
    }

    fn advance(&mut self, size: u32) {
        self.number += 1;
        self.sum += 1.0 / f64::from(size.saturating_sub(self.number));
    }
}

/// Shares of the slots in proportion to weights, in whole slots: rounded down, and one more for
/// those that have lost most by it.
fn quotas(places: &[&Place], size: u32) -> Vec<u32> {
    let all: u64 = places.iter().map(|place| u64::from(place.weight)).sum();
    let all = all.max(1);
    let slots = |place: &&Place| u64::from(size) * u64::from(place.weight);
    let mut quotas: Vec<u32> = places
        .iter()
        .map(|place| (slots(place) / all) as u32)
        .collect();
    let given: u32 = quotas.iter().sum();
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_by_key(|&at| Reverse(slots(&places[at]) % all));
    for at in order.into_iter().take((size - given) as usize) {
        quotas[at] += 1;
    }
    quotas
}
