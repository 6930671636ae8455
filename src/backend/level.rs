//! Which backends have how many requests in flight, the other way round: for each count, the
//! backends that have it, as bits.
//!
//! # Algorithm
//!
//! Up to 2,048 backends share a [`Levels`]: for each of the counts 0 to 254, and for "255 or more",
//! one bit for each backend. A backend whose count goes from a to b toggles its bit at both levels
//! with an atomic XOR. Toggles commute, so whatever the order in which concurrent transitions
//! arrive, the bits are right once all have arrived; in between a reader may find a backend at two
//! levels or none. An even level shares its words with the next one, so that every other step, from
//! idle to busy above all, is a single XOR.
//!
//! Above the words of each level stands one that tells which of them may have bits, and above all
//! levels a few that tell which levels may. Whoever sets a bit sees to it that these say so. Nobody
//! takes it back at once: a reader that finds nothing there does, now and then, and looks again
//! afterwards, so that nothing is taken back that has become true meanwhile.
//!
//! Joining, leaving and moving to another place are toggles, too. What makes them safe beside
//! running transitions is that the count and the place are one word: the atomic step that sets,
//! clears or changes the place tells the count at that very moment, and every other step knows the
//! place that it has to toggle at.

use std::sync::{Arc, OnceLock};

use crate::sync::{AtomicU64, Ordering, ordered};

/// One more than the highest level.
const LEVELS: usize = if cfg!(evenkeel_loom) { 4 } else { 256 };
/// The level of all counts from this one on.
pub(crate) const TOP: usize = LEVELS - 1;
/// Backends in one word, each with two bits.
pub(crate) const WORD: usize = 32;
/// Backends in one piece, at most.
pub(crate) const PIECE: usize = 64 * WORD;
/// The lower bit of each backend in a word.
const EVEN: u64 = u64::MAX / 3;

/// The levels of up to 2,048 backends: 32 bytes for each, and 2 KiB.
pub(crate) struct Levels {
    /// For each level, whether anybody may be there.
    in_use: [AtomicU64; LEVELS.div_ceil(64)],
    rows: Box<[AtomicU64]>,
    /// Words in each row, two for which of the others may have bits of its even level, and of its
    /// odd one, included.
    length: usize,
}

const HINTS: usize = 2;

impl Levels {
    pub(crate) fn new(places: usize) -> Self {
        let length = HINTS + places.clamp(1, PIECE).div_ceil(WORD);
        let zeros = std::iter::repeat_with(|| AtomicU64::new(0));
        Self {
            in_use: std::array::from_fn(|_| AtomicU64::new(0)),
            rows: zeros.take(LEVELS / 2 * length).collect(),
            length,
        }
    }

    /// How many backends have a place here.
    pub(crate) fn places(&self) -> usize {
        (self.length - HINTS) * WORD
    }

    /// The lowest level, from this one on, at which anyone may be.
    #[inline]
    pub(crate) fn next_in_use(&self, level: usize) -> Option<usize> {
        let mut wanted = u64::MAX << (level % 64);
        for (at, levels) in self.in_use.iter().enumerate().skip(level / 64) {
            let levels = levels.load(Ordering::Relaxed) & wanted;
            if levels != 0 {
                return Some(at * 64 + levels.trailing_zeros() as usize);
            }
            wanted = u64::MAX;
        }
        None
    }

    /// Which words may have bits of a level.
    #[inline]
    pub(crate) fn words_in_use(&self, level: usize) -> u64 {
        self.row(level)[level % 2].load(Ordering::Relaxed)
    }

    /// Who of 32 backends is at a level: bit 0 is the first, bit 2 the second, and so on. `Relaxed`,
    /// here and above: what is read is a hint; a picker checks what it finds.
    #[inline]
    pub(crate) fn word(&self, level: usize, word: usize) -> u64 {
        self.row(level)[HINTS + word].load(Ordering::Relaxed) >> (level % 2) & EVEN
    }

    /// Takes back that a word may have bits of a level, and that the level is in use, if so it is.
    pub(crate) fn tidy(&self, level: usize, word: usize) {
        let words_in_use = &self.row(level)[level % 2];
        words_in_use.fetch_and(!(1 << word), Ordering::SeqCst);
        ordered();
        // After that, for those that set a bit before it and were content with the hint.
        if self.row(level)[HINTS + word].load(Ordering::SeqCst) >> (level % 2) & EVEN != 0 {
            self.show(level, word);
        } else if words_in_use.load(Ordering::Relaxed) == 0 {
            self.tidy_level(level);
        }
    }

    /// Takes back that a level is in use, if none of its words is.
    pub(crate) fn tidy_level(&self, level: usize) {
        let in_use = &self.in_use[level / 64];
        in_use.fetch_and(!(1 << (level % 64)), Ordering::SeqCst);
        ordered();
        if self.row(level)[level % 2].load(Ordering::SeqCst) != 0 {
            in_use.fetch_or(1 << (level % 64), Ordering::SeqCst);
        }
    }

    #[inline]
    fn row(&self, level: usize) -> &[AtomicU64] {
        &self.rows[level / 2 * self.length..][..self.length]
    }

    #[inline]
    fn toggle(&self, level: usize, at: usize) {
        self.toggle_bits(level, at, 1 << (level % 2));
    }

    /// Between a level and the next, or back.
    ///
    /// The lower first: whoever stops in between leaves a backend that seems to have more requests
    /// than it has, or is not seen at all, but never one that draws everybody's.
    #[inline]
    fn step(&self, lower: usize, at: usize) {
        if lower.is_multiple_of(2) {
            self.toggle_bits(lower, at, 3);
        } else {
            self.toggle(lower, at);
            self.toggle(lower + 1, at);
        }
    }

    /// Toggles a backend's bits in the row of a level.
    #[inline]
    fn toggle_bits(&self, level: usize, at: usize, bits: u64) {
        let word = &self.row(level)[HINTS + at / WORD];
        let shift = at % WORD * 2;
        // `SeqCst`, as all that decides whether the hints are true: of one who sets a bit and one
        // who takes back that there are any, the first sees that it is taken back, or the second
        // sees the bit.
        word.fetch_xor(bits << shift, Ordering::SeqCst);
        // Not what the XOR returns, which processors are slower at. If others toggle in between,
        // the last of them sees what it is in the end.
        let now = word.load(Ordering::Relaxed) >> shift & bits;
        ordered();
        for odd in 0..2 {
            if now & 1 << odd != 0 {
                self.show(level & !1 | odd, at / WORD);
            }
        }
    }

    /// Lets readers know that there is something in this word. Looks before it writes: mostly they
    /// know.
    #[inline]
    fn show(&self, level: usize, word: usize) {
        let above = [
            (&self.row(level)[level % 2], 1 << word),
            (&self.in_use[level / 64], 1 << (level % 64)),
        ];
        for (hints, bit) in above {
            if hints.load(Ordering::SeqCst) & bit == 0 {
                hints.fetch_or(bit, Ordering::SeqCst);
                ordered();
            }
        }
    }
}

/// Where one backend's bits are: in which piece, and at which place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(u32);

const AT_BITS: u32 = PIECE.ilog2();

impl Place {
    /// `None` if it is too far out.
    pub(crate) fn new(piece: usize, at: usize) -> Option<Self> {
        (piece < 1 << (u32::BITS - AT_BITS)).then_some(Self((piece << AT_BITS | at) as u32))
    }

    pub(super) fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    pub(super) fn to_bits(self) -> u32 {
        self.0
    }

    pub(crate) fn piece(self) -> usize {
        (self.0 >> AT_BITS) as usize
    }

    /// Which it is of the piece's places.
    pub(crate) fn at(self) -> usize {
        self.0 as usize % PIECE
    }
}

/// All pieces of a pool. There come more, and none is ever taken away, so that whoever knows a place
/// finds it, however late.
#[derive(Default)]
pub(crate) struct Pieces([OnceLock<Batch>; BATCHES]);

/// Each holds twice as many as the one before.
type Batch = Box<[OnceLock<Arc<Levels>>]>;

const BATCHES: usize = (u32::BITS - AT_BITS) as usize;

impl Pieces {
    #[inline]
    pub(crate) fn get(&self, piece: usize) -> Option<&Arc<Levels>> {
        let (batch, at) = Self::find(piece);
        self.0.get(batch)?.get()?.get(at)?.get()
    }

    /// Sets the next piece. What is too far out has no places.
    pub(crate) fn set(&self, piece: usize, levels: Levels) {
        let (batch, at) = Self::find(piece);
        let new = || (0..1 << batch).map(|_| OnceLock::new()).collect();
        if let Some(batch) = self.0.get(batch) {
            // It has not been set: one writer counts them.
            let _ = batch.get_or_init(new)[at].set(Arc::new(levels));
        }
    }

    #[inline]
    fn find(piece: usize) -> (usize, usize) {
        let batch = (piece + 1).ilog2();
        (batch as usize, piece + 1 - (1 << batch))
    }
}

/// Where a backend's bits are, now and later.
pub(super) struct Home {
    pieces: Arc<Pieces>,
    /// The first of its pieces, and mostly the only one: found at once.
    first: usize,
    levels: Arc<Levels>,
}

impl Home {
    pub(super) fn new(pieces: &Arc<Pieces>, place: Place) -> Option<Self> {
        Some(Self {
            pieces: Arc::clone(pieces),
            first: place.piece(),
            levels: Arc::clone(pieces.get(place.piece())?),
        })
    }

    #[inline]
    fn levels(&self, place: Place) -> Option<&Levels> {
        if place.piece() == self.first {
            return Some(&self.levels);
        }
        self.pieces.get(place.piece()).map(Arc::as_ref)
    }

    /// Toggles the bit at the level of `count`.
    pub(super) fn toggle(&self, place: Place, count: u32) {
        if let Some(levels) = self.levels(place) {
            levels.toggle((count as usize).min(TOP), place.at());
        }
    }

    /// Toggles what a step from one count to the next, or back, changes.
    #[inline]
    pub(super) fn step(&self, place: Place, lower: u32) {
        if (lower as usize) < TOP
            && let Some(levels) = self.levels(place)
        {
            levels.step(lower as usize, place.at());
        }
    }
}

impl std::fmt::Debug for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Home").finish_non_exhaustive()
    }
}
