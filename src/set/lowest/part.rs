use std::sync::Arc;

use crate::backend::{Levels, WORD};

/// The places of one piece.
pub(super) struct Part {
    pub(super) piece: usize,
    levels: Arc<Levels>,
    /// Those whose backends are on the list, as bits in the places of [`Levels::word`].
    eligible: Vec<u64>,
    /// Which words of these are not 0.
    words: u64,
    /// By place, up to the last that is on the list.
    pub(super) ranks: Vec<u32>,
}

impl Part {
    pub(super) fn new(piece: usize, levels: Arc<Levels>) -> Self {
        Self {
            piece,
            levels,
            eligible: Vec::new(),
            words: 0,
            ranks: Vec::new(),
        }
    }

    pub(super) fn insert(&mut self, place: usize, rank: u32) {
        if self.ranks.len() <= place {
            self.ranks.resize(place + 1, 0);
            self.eligible.resize(place / WORD + 1, 0);
        }
        self.ranks[place] = rank;
        self.eligible[place / WORD] |= bit(place);
        self.words |= 1 << (place / WORD);
    }

    /// The lowest level up to a limit at which anybody on the list is.
    pub(super) fn lowest(&self, limit: usize, tidy: bool) -> Option<usize> {
        let mut from = 0;
        loop {
            let level = self.levels.next_in_use(from)?;
            if level > limit {
                return None;
            }
            if self.has(level, tidy) {
                return Some(level);
            }
            from = level + 1;
        }
    }

    /// The lowest level at which anybody may be, on the list or not.
    #[inline]
    pub(super) fn lowest_in_use(&self) -> Option<usize> {
        self.levels.next_in_use(0)
    }

    /// How many words may have bits at a level.
    pub(super) fn words(&self, level: usize) -> u32 {
        (self.levels.words_in_use(level) & self.words).count_ones()
    }

    /// Whether who has this place is on the list and at this level.
    #[inline]
    pub(super) fn is_at(&self, place: usize, level: usize) -> bool {
        let word = place / WORD;
        self.levels.word(level, word) & self.eligible[word] & bit(place) != 0
    }

    /// Whether anybody on the list is at this level.
    fn has(&self, level: usize, tidy: bool) -> bool {
        let in_use = self.levels.words_in_use(level);
        if in_use == 0 && tidy {
            self.levels.tidy_level(level);
        }
        for word in ones(in_use & self.words) {
            let bits = self.levels.word(level, word);
            if bits & self.eligible[word] != 0 {
                return true;
            }
            if bits == 0 && tidy {
                self.levels.tidy(level, word);
            }
        }
        false
    }

    /// The words with those on the list that are at a level, where there may be any.
    #[inline]
    pub(super) fn bits(&self, level: usize) -> impl Iterator<Item = (usize, u64)> {
        let words = ones(self.levels.words_in_use(level) & self.words);
        words.map(move |word| (word, self.levels.word(level, word) & self.eligible[word]))
    }
}

/// The bit of a place in its word.
#[inline]
fn bit(place: usize) -> u64 {
    1 << (place % WORD * 2)
}

/// Which bits are set.
#[inline]
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = (bits != 0).then_some(bits.trailing_zeros() as usize);
        bits &= bits.wrapping_sub(1);
        at
    })
}

/// Where the n-th set bit is, counted from 0. There are more.
pub(super) fn nth_one(mut bits: u64, n: u64) -> usize {
    for _ in 0..n {
        bits &= bits - 1;
    }
    bits.trailing_zeros() as usize
}
