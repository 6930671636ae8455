//! The pool of answers: a few places that all threads read and write without a lock.

use super::answer::{Answer, EMPTY};
use crate::backend::Handle;
use crate::sync::{AtomicU64, Ordering};

/// The answers that a pick can go by.
///
/// # How it is shared
///
/// The answer's word says whether the place is empty, full, or being written. Who writes claims the
/// place by a compare-and-swap of that word, writes the other two, and stores the word: a reader
/// that finds it full sees them (`Release` and `Acquire`). If the next writer comes in between, a
/// reader may join one answer's word with the other's backend. That costs a worse choice at most:
/// whatever is done to an answer is a compare-and-swap of its word, version included, and the
/// backend is looked up in the set before it is believed.
///
/// Nobody waits. A writer that finds all places claimed, or loses them again and again, drops its
/// answer, which is no worse than a probe that was lost.
pub(super) struct Answers {
    places: Box<[Place]>,
    /// In nanoseconds.
    max_age: u64,
}

struct Place {
    answer: AtomicU64,
    backend: AtomicU64,
    /// When it came, in nanoseconds.
    at: AtomicU64,
}

/// An answer as it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) place: usize,
    pub(super) answer: Answer,
    pub(super) backend: Handle,
}

/// What one walk over the places has found. An answer is compared as one number, with its place in
/// the low bits, so that the walk has hardly a branch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Survey {
    best: u64,
    second: u64,
    worst: Option<u64>,
    oldest: u64,
}

const PLACE_BITS: u32 = 6;
/// The most places that there can be.
pub(super) const MAX_PLACES: usize = 1 << PLACE_BITS;
/// Above every number that an answer can be.
const OUT: u64 = 1 << 63;

fn keyed(number: u64, place: usize) -> u64 {
    (number << PLACE_BITS) | place as u64
}

fn place_in(key: u64) -> usize {
    key as usize % MAX_PLACES
}

impl Survey {
    /// The place of the best answer of those that are not out.
    pub(super) fn best(&self) -> Option<usize> {
        (self.best < OUT).then(|| place_in(self.best))
    }

    /// That of the next best.
    pub(super) fn second(&self) -> Option<usize> {
        (self.second < OUT).then(|| place_in(self.second))
    }

    /// The place of the oldest answer of all.
    pub(super) fn oldest(&self) -> Option<usize> {
        self.worst.map(|_| place_in(self.oldest))
    }

    /// The place of the worst answer of all, where the one at `place` is this by now.
    pub(super) fn worst_with(&self, place: usize, now: Answer, hot_from: u32) -> Option<usize> {
        let now = keyed(now.rank(hot_from), place);
        self.worst.map(|worst| place_in(worst.max(now)))
    }

    /// The place of the worst answer of all.
    pub(super) fn worst(&self) -> Option<usize> {
        self.worst.map(place_in)
    }
}

impl Answers {
    pub(super) fn new(size: usize, max_age: u64) -> Self {
        let place = || Place {
            answer: AtomicU64::new(EMPTY),
            backend: AtomicU64::new(0),
            at: AtomicU64::new(0),
        };
        Self {
            places: std::iter::repeat_with(place).take(size).collect(),
            max_age,
        }
    }

    /// Looks at every answer that is not too old, and drops those that are. The places whose bit
    /// is in `out` are neither the best nor the second.
    #[inline]
    pub(super) fn survey(&self, now: u64, hot_from: u32, out: u64) -> Survey {
        let mut survey = Survey {
            best: u64::MAX,
            second: u64::MAX,
            worst: None,
            oldest: u64::MAX,
        };
        let mut worst = 0;
        for (place, found) in self.places.iter().enumerate() {
            let answer = Answer::from_word(found.answer.load(Ordering::Acquire));
            if !answer.is_full() {
                continue;
            }
            let at = found.at.load(Ordering::Relaxed);
            if now.saturating_sub(at) > self.max_age {
                // If that fails, somebody has put another there.
                let _ = found.swap(answer, answer.emptied());
                continue;
            }
            let key = keyed(answer.rank(hot_from), place);
            worst = key.max(worst);
            survey.worst = Some(worst);
            survey.oldest = survey.oldest.min(keyed(at, place));
            let key = key | ((out >> place) & 1) << 63;
            survey.second = survey.second.min(survey.best.max(key));
            survey.best = survey.best.min(key);
        }
        survey
    }

    /// The answer at a place.
    pub(super) fn at(&self, place: usize) -> Option<Seen> {
        let found = self.places.get(place)?;
        let answer = Answer::from_word(found.answer.load(Ordering::Acquire));
        answer.is_full().then(|| Seen {
            place,
            answer,
            backend: Handle::from_bits(found.backend.load(Ordering::Relaxed)),
        })
    }

    /// Takes in an answer: in place of an older one of the same backend, at an empty place, or in
    /// place of the oldest. One that is older than what it would replace is dropped.
    pub(super) fn insert(&self, backend: Handle, at: u64, fill: impl Fn(Answer) -> Answer) {
        const TRIES: usize = 3;
        for _ in 0..TRIES {
            let Some((place, seen)) = self.place_for(backend, at) else {
                return;
            };
            let claimed = seen.claimed();
            if place.swap(seen, claimed).is_ok() {
                place.backend.store(backend.to_bits(), Ordering::Relaxed);
                place.at.store(at, Ordering::Relaxed);
                place.answer.store(fill(claimed).word(), Ordering::Release);
                return;
            }
        }
    }

    fn place_for(&self, backend: Handle, at: u64) -> Option<(&Place, Answer)> {
        let (mut same, mut empty, mut oldest) = (None, None, None);
        let mut least = u64::MAX;
        for place in &self.places {
            let answer = Answer::from_word(place.answer.load(Ordering::Acquire));
            if answer.is_busy() {
                continue;
            }
            if !answer.is_full() {
                empty = empty.or(Some((place, answer)));
                continue;
            }
            let since = place.at.load(Ordering::Relaxed);
            if place.backend.load(Ordering::Relaxed) == backend.to_bits() {
                if since > at {
                    return None;
                }
                if same.is_none() {
                    same = Some((place, answer));
                } else {
                    // Two threads that took in answers of one backend at once have left both.
                    let _ = place.swap(answer, answer.emptied());
                    continue;
                }
            }
            if since < least {
                (least, oldest) = (since, Some((place, answer)));
            }
        }
        same.or(empty).or(oldest.filter(|_| least <= at))
    }

    /// Counts a request that goes by an answer, unless that has been replaced since. Drops it if
    /// `is_used_up` says so of its uses. Returns what it is then, if it is still there.
    pub(super) fn count_use(
        &self,
        seen: &Seen,
        is_used_up: impl Fn(u32) -> bool,
    ) -> Option<Answer> {
        self.change(seen, |answer| {
            let used = answer.used();
            if is_used_up(used.uses()) {
                answer.emptied()
            } else {
                used
            }
        })
    }

    /// Drops an answer.
    pub(super) fn remove(&self, seen: &Seen) {
        self.change(seen, Answer::emptied);
    }

    /// Changes an answer, whoever else does, as long as it is there.
    fn change(&self, seen: &Seen, change: impl Fn(Answer) -> Answer) -> Option<Answer> {
        let place = self.places.get(seen.place)?;
        let mut answer = seen.answer;
        loop {
            let changed = change(answer);
            match place.swap(answer, changed) {
                Ok(()) => return Some(changed).filter(|changed| changed.is_full()),
                Err(now) if now.is_still(seen.answer) => answer = now,
                Err(_) => return None,
            }
        }
    }
}

impl Place {
    /// One step from one word to another; else what it is instead.
    fn swap(&self, from: Answer, to: Answer) -> Result<(), Answer> {
        let swapped = self.answer.compare_exchange(
            from.word(),
            to.word(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        swapped.map(drop).map_err(Answer::from_word)
    }
}
