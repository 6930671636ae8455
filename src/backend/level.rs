//! Which backends have how many requests in flight, the other way round: for each count, the
//! backends that have it, as bits.
//!
//! # Algorithm
//!
//! 4,096 backends share a [`Levels`]: for each of the counts 0 to 14, and for "15 or more", one bit
//! for each backend. A backend whose count goes from a to b toggles its bit in both levels with an
//! atomic XOR. Toggles commute, so whatever the order in which the two halves of concurrent
//! transitions arrive, the bits are right once all have arrived; in between a reader may find a
//! backend at two levels or none.
//!
//! Joining and leaving are toggles too. What makes them safe beside running transitions is that the
//! count and "is indexed" are one word: the atomic step that sets or clears the flag tells the
//! count at that very moment, and every later step knows whether it has to toggle.

use crate::sync::{AtomicU64, Ordering};
use std::sync::Arc;

/// One more than the highest level: counts of 15 and more share the last.
pub(crate) const LEVELS: usize = if cfg!(evenkeel_loom) { 4 } else { 16 };
/// Words of 64 bits in each level. (A model can be small.)
const WORDS: usize = if cfg!(evenkeel_loom) { 1 } else { 64 };
/// Backends in one piece.
pub(crate) const PIECE: usize = WORDS * 64;

/// The levels of 4,096 backends: 8 KiB.
pub(crate) struct Levels(Box<[[AtomicU64; WORDS]; LEVELS]>);

/// Where one backend's bits are.
#[derive(Clone)]
pub(crate) struct Place {
    levels: Arc<Levels>,
    at: usize,
}

impl Levels {
    pub(crate) fn new() -> Self {
        Self(Box::new(std::array::from_fn(|_| {
            std::array::from_fn(|_| AtomicU64::new(0))
        })))
    }

    /// The bits of 64 backends at one level. `Relaxed`: loads are hints; a picker checks what it
    /// finds.
    pub(crate) fn word(&self, level: usize, word: usize) -> u64 {
        self.0[level][word % WORDS].load(Ordering::Relaxed)
    }
}

impl Place {
    pub(crate) fn new(levels: Arc<Levels>, slot: usize) -> Self {
        let at = slot % PIECE;
        Self { levels, at }
    }

    /// Toggles the bit at the level of `count`.
    pub(super) fn toggle(&self, count: u32) {
        let level = (count as usize).min(LEVELS - 1);
        let bit = 1 << (self.at % 64);
        self.levels.0[level][self.at / 64].fetch_xor(bit, Ordering::Relaxed);
    }

    /// Toggles what a step from one count to the next, or back, changes.
    pub(super) fn step(&self, lower: u32) {
        if (lower as usize) < LEVELS - 1 {
            self.toggle(lower);
            self.toggle(lower + 1);
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Place")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}
