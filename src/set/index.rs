use std::sync::Arc;

use crate::backend::{LEVELS, Levels, PIECE, Place};
use crate::random::{below, mix};

/// The members of a pool by how many requests they have in flight, so that the minimum is found
/// without a walk over all of them. See `backend/level.rs` for how it is kept.
#[derive(Clone, Default)]
pub(super) struct Index(Vec<Arc<Levels>>);

/// The eligible slots as bits, for an index to look at no others.
pub(super) struct Mask {
    words: Box<[u64]>,
    /// One more than the highest slot.
    slots: usize,
}

impl Index {
    /// Where the backend with this slot has its bits.
    pub(super) fn place(&mut self, slot: usize) -> Place {
        while self.0.len() <= slot / PIECE {
            self.0.push(Arc::new(Levels::new()));
        }
        Place::new(Arc::clone(&self.0[slot / PIECE]), slot)
    }

    /// Finds a slot among those with the fewest requests in flight, each with the same chance.
    /// `None` if none has fewer than 15, or if changes under way hide them all.
    ///
    /// A few slots are tried at random first: while many share the lowest count, that finds one at
    /// once. Otherwise those that do are counted, and one of them is taken.
    pub(super) fn least(&self, mask: &Mask, mut random: u64) -> Option<usize> {
        const TRIES: u32 = 4;
        for level in 0..LEVELS - 1 {
            let bits = |word: usize| {
                let (levels, eligible) = (self.0.get(word * 64 / PIECE), mask.words.get(word));
                match (levels, eligible) {
                    (Some(levels), Some(eligible)) => levels.word(level, word) & eligible,
                    _ => 0,
                }
            };
            for _ in 0..TRIES {
                let slot = below(random, mask.slots as u64) as usize;
                if bits(slot / 64) & (1 << (slot % 64)) != 0 {
                    return Some(slot);
                }
                // What failed says something of these bits: go on with others.
                random = mix(random);
            }
            // Zero more often than not, which is quicker to see than to count.
            let count = |bits: u64| {
                if bits == 0 {
                    0
                } else {
                    u64::from(bits.count_ones())
                }
            };
            let total = (0..mask.words.len()).map(|word| count(bits(word))).sum();
            let mut skip = below(random, total);
            for word in 0..mask.words.len() {
                let mut bits = bits(word);
                let here = count(bits);
                if skip < here {
                    for _ in 0..skip {
                        bits &= bits - 1;
                    }
                    return Some(word * 64 + bits.trailing_zeros() as usize);
                }
                skip -= here;
            }
        }
        None
    }
}

impl Mask {
    pub(super) fn of(slots: impl Iterator<Item = usize>) -> Self {
        let mut words = Vec::new();
        let mut end = 0;
        for slot in slots {
            end = end.max(slot + 1);
            if words.len() < end.div_ceil(64) {
                words.resize(end.div_ceil(64), 0);
            }
            words[slot / 64] |= 1 << (slot % 64);
        }
        Self {
            words: words.into_boxed_slice(),
            slots: end,
        }
    }
}
