use std::sync::Arc;

use crate::backend::{LEVELS, Levels, PIECE, Place};
use crate::random::below;

/// The members of a pool by how many requests they have in flight, so that the minimum is found
/// without a walk over all of them. See `backend/level.rs` for how it is kept.
#[derive(Clone, Default)]
pub(super) struct Index(Vec<Arc<Levels>>);

/// The eligible slots as bits, for an index to look at no others.
pub(super) struct Mask(Box<[u64]>);

impl Index {
    /// Where the backend with this slot has its bits.
    pub(super) fn place(&mut self, slot: usize) -> Place {
        while self.0.len() <= slot / PIECE {
            self.0.push(Arc::new(Levels::new()));
        }
        Place::new(Arc::clone(&self.0[slot / PIECE]), slot)
    }

    /// Finds a slot among those with the fewest requests in flight. `None` if none has fewer than 15, or if
    /// changes under way hide them all.
    ///
    /// The search begins at the 64 slots around a random one, and takes a random one of
    /// the first that it finds together, so that all that tie have about the same chance.
    pub(super) fn least(&self, mask: &Mask, random: u64) -> Option<usize> {
        let words = mask.0.len();
        let begin = below(random, mask.slots() as u64) as usize / 64;
        for level in 0..LEVELS - 1 {
            for word in (begin..words).chain(0..begin) {
                let levels = self.0.get(word * 64 / PIECE)?;
                let bits = levels.word(level, word) & mask.0[word];
                if bits != 0 {
                    return Some(word * 64 + any_bit(bits, random as u32));
                }
            }
        }
        None
    }
}

impl Mask {
    pub(super) fn of(slots: impl Iterator<Item = usize>) -> Self {
        let mut words = Vec::new();
        for slot in slots {
            if words.len() <= slot / 64 {
                words.resize(slot / 64 + 1, 0);
            }
            words[slot / 64] |= 1 << (slot % 64);
        }
        Self(words.into_boxed_slice())
    }

    /// One more than the highest slot.
    fn slots(&self) -> usize {
        let last = self
            .0
            .last()
            .map_or(0, |word| 64 - word.leading_zeros() as usize);
        self.0.len().saturating_sub(1) * 64 + last
    }
}

/// The position of a random one among the bits that are set.
fn any_bit(bits: u64, random: u32) -> usize {
    let mut skip = (u64::from(random) * u64::from(bits.count_ones())) >> 32;
    let mut bits = bits;
    while skip > 0 {
        bits &= bits - 1;
        skip -= 1;
    }
    bits.trailing_zeros() as usize
}
