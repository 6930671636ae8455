use std::time::{Duration, Instant};

use super::{BackendSet, least_in_flight};
use crate::backend::Handle;
use crate::random::mix;

/// A set without some of its backends: those that this request has tried already.
///
/// Ranks close up, so a picker does not notice. Up to 8 masked backends cost no allocation.
///
/// # Examples
///
/// ```
/// use evenkeel::set::Masked;
/// use evenkeel::BackendSet;
///
/// let set = ["a", "b", "c"];
/// let mut masked = Masked::new(&set);
/// masked.mask(1);
/// assert_eq!(masked.len(), 2);
/// assert_eq!(masked.id(1), "c");
/// assert_eq!(masked.rank_of(1), None);
/// ```
#[derive(Clone)]
pub struct Masked<'a> {
    set: &'a dyn BackendSet,
    out: Ranks,
}

/// Ranks of the underlying set, ascending.
#[derive(Clone)]
enum Ranks {
    Inline(u8, [usize; INLINE]),
    Many(Vec<usize>),
}

const INLINE: usize = 8;

impl<'a> Masked<'a> {
    /// Wraps a set; nothing is masked yet.
    pub fn new(set: &'a dyn BackendSet) -> Self {
        Self {
            set,
            out: Ranks::Inline(0, [0; INLINE]),
        }
    }

    /// Takes out the backend that is now at `rank` of this masked set. Out of range does nothing.
    pub fn mask(&mut self, rank: usize) {
        if rank < self.len() {
            self.out.insert(self.unmasked(rank));
        }
    }

    /// Takes out the backend that is at `rank` of the underlying set.
    pub fn mask_original(&mut self, rank: usize) {
        if rank < self.set.len() {
            self.out.insert(rank);
        }
    }

    /// Returns the rank in the underlying set.
    pub fn unmasked(&self, rank: usize) -> usize {
        let mut rank = rank;
        for &out in self.out.as_slice() {
            if out > rank {
                break;
            }
            rank = rank.saturating_add(1);
        }
        rank
    }
}

impl Ranks {
    fn as_slice(&self) -> &[usize] {
        match self {
            Self::Inline(len, ranks) => &ranks[..usize::from(*len)],
            Self::Many(ranks) => ranks,
        }
    }

    fn insert(&mut self, rank: usize) {
        let out = self.as_slice();
        let at = match out.last() {
            Some(&last) if last >= rank => match out.binary_search(&rank) {
                Ok(_) => return,
                Err(at) => at,
            },
            _ => out.len(),
        };
        match self {
            Self::Inline(len, ranks) if usize::from(*len) < INLINE => {
                ranks.copy_within(at..usize::from(*len), at + 1);
                ranks[at] = rank;
                *len += 1;
            }
            Self::Inline(_, ranks) => {
                let mut many = ranks.to_vec();
                many.insert(at, rank);
                *self = Self::Many(many);
            }
            Self::Many(ranks) => ranks.insert(at, rank),
        }
    }
}

impl BackendSet for Masked<'_> {
    fn len(&self) -> usize {
        self.set.len() - self.out.as_slice().len()
    }

    fn id(&self, rank: usize) -> &str {
        self.set.id(self.unmasked(rank))
    }

    fn weight(&self, rank: usize) -> u32 {
        self.set.weight(self.unmasked(rank))
    }

    fn in_flight(&self, rank: usize) -> usize {
        self.set.in_flight(self.unmasked(rank))
    }

    fn latency(&self, rank: usize, now: Instant) -> Option<Duration> {
        self.set.latency(self.unmasked(rank), now)
    }

    fn priority(&self, rank: usize) -> u32 {
        self.set.priority(self.unmasked(rank))
    }

    fn zone(&self, rank: usize) -> Option<&str> {
        self.set.zone(self.unmasked(rank))
    }

    fn hash_key(&self, rank: usize) -> &str {
        self.set.hash_key(self.unmasked(rank))
    }

    fn metadata(&self, rank: usize, key: &str) -> Option<&str> {
        self.set.metadata(self.unmasked(rank), key)
    }

    fn handle(&self, rank: usize) -> Handle {
        self.set.handle(self.unmasked(rank))
    }

    fn rank_of(&self, slot: usize) -> Option<usize> {
        let rank = self.set.rank_of(slot)?;
        match self.out.as_slice().binary_search(&rank) {
            Ok(_) => None,
            Err(before) => Some(rank - before),
        }
    }

    fn total_weight(&self) -> u64 {
        let out = self.out.as_slice().iter();
        let out: u64 = out.map(|&rank| u64::from(self.set.weight(rank))).sum();
        self.set.total_weight().saturating_sub(out)
    }

    fn total_in_flight(&self) -> usize {
        let out = self.out.as_slice().iter();
        let out = out.map(|&rank| self.set.in_flight(rank));
        let out = out.fold(0, usize::saturating_add);
        self.set.total_in_flight().saturating_sub(out)
    }

    fn least_in_flight(&self, random: u64) -> Option<usize> {
        // The minimum of all is that of the rest, unless it is masked.
        let rank = self.set.least_in_flight(random)?;
        match self.out.as_slice().binary_search(&rank) {
            Err(before) => Some(rank - before),
            // With another number: this one has led to a backend that is masked.
            Ok(_) => least_in_flight(self, mix(random), |rank| self.weight(rank)),
        }
    }
}

impl std::fmt::Debug for Masked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Masked")
            .field("len", &self.len())
            .field("out", &self.out.as_slice())
            .finish_non_exhaustive()
    }
}
