//! What is known of one backend: on one cache line.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// `Relaxed` all over: each word is a hint on its own, and a reader that finds two words of
/// different moments picks a little worse, once.
#[repr(align(64))]
pub(super) struct Slot {
    /// How many of this picker's requests are in flight there.
    own: AtomicU32,
    /// What was seen last of the others' load, and when.
    seen: AtomicU64,
    /// What is usually seen, and how slow it is beside the others.
    usual: Pair,
    /// What was foretold when the only request in flight was sent, and how slow it was thought to
    /// be before the latest report.
    foretold: Pair,
    /// The share of failures, and when the last one was.
    failing: AtomicU64,
    /// It is a member still.
    listed: AtomicBool,
}

/// Two floats in one word.
struct Pair(AtomicU64);

/// Nothing was ever seen, or foretold.
const NONE: f32 = -1.0;

/// The latest look at a backend's load.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) others: f32,
    pub(super) at: u32,
}

impl Default for Slot {
    /// Nothing is known of it yet.
    fn default() -> Self {
        Self {
            own: AtomicU32::new(0),
            seen: AtomicU64::new(
                Seen {
                    others: NONE,
                    at: 0,
                }
                .word(),
            ),
            usual: Pair::new(NONE, 1.0),
            foretold: Pair::new(NONE, 1.0),
            failing: AtomicU64::new(0),
            listed: AtomicBool::new(true),
        }
    }
}

impl Slot {
    /// Requests of this picker in flight.
    #[inline]
    pub(super) fn own(&self) -> u32 {
        self.own.load(Ordering::Relaxed)
    }

    /// One more; returns how many there were.
    #[inline]
    pub(super) fn enter(&self) -> u32 {
        self.own.fetch_add(1, Ordering::Relaxed)
    }

    /// One less, if there is any: whoever drives a picker may tell it of ends alone.
    #[inline]
    pub(super) fn leave(&self) {
        let one_less = |own: u32| own.checked_sub(1);
        let _ = self
            .own
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
    }

    pub(super) fn is_listed(&self) -> bool {
        self.listed.load(Ordering::Relaxed)
    }

    pub(super) fn set_listed(&self, listed: bool) {
        self.listed.store(listed, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn seen(&self) -> Option<Seen> {
        Seen::of(self.seen.load(Ordering::Relaxed))
    }

    /// Notes what is seen now; returns what was before.
    #[inline]
    pub(super) fn see(&self, seen: Seen) -> Option<Seen> {
        Seen::of(self.seen.swap(seen.word(), Ordering::Relaxed))
    }

    /// What is usually seen of the others' load, if anything was.
    #[inline]
    pub(super) fn usual(&self) -> Option<f32> {
        let usual = self.usual.load().0;
        (usual >= 0.0).then_some(usual)
    }

    pub(super) fn set_usual(&self, usual: f32) {
        self.usual.store(usual, self.slowness());
    }

    /// How long it takes beside the others with the same load: 1 is as long, 2 twice as long.
    #[inline]
    pub(super) fn slowness(&self) -> f32 {
        self.usual.load().1
    }

    /// Notes it; what it was before is kept until the next.
    pub(super) fn set_slowness(&self, slowness: f32) {
        let (usual, before) = self.usual.load();
        self.usual.store(usual, slowness);
        self.foretold.store(self.foretold.load().0, before);
    }

    /// How slow it was thought to be before the latest report.
    pub(super) fn slowness_before(&self) -> f32 {
        self.foretold.load().1
    }

    /// What was foretold of the others' load for the one request in flight.
    pub(super) fn foretold(&self) -> Option<f32> {
        let foretold = self.foretold.load().0;
        (foretold >= 0.0).then_some(foretold)
    }

    #[inline]
    pub(super) fn foretell(&self, others: Option<f32>) {
        let (_, before) = self.foretold.load();
        self.foretold.store(others.unwrap_or(NONE), before);
    }

    /// The share of failures, if there were any, and the tick of the last.
    #[inline]
    pub(super) fn failing(&self) -> Option<(f32, u32)> {
        let word = self.failing.load(Ordering::Relaxed);
        (word != 0).then(|| (f32::from_bits((word >> 32) as u32), word as u32))
    }

    pub(super) fn set_failing(&self, share: f32, at: u32) {
        let word = u64::from(share.to_bits()) << 32 | u64::from(at);
        self.failing.store(word, Ordering::Relaxed);
    }
}

impl Seen {
    #[inline]
    fn of(word: u64) -> Option<Self> {
        let others = f32::from_bits((word >> 32) as u32);
        (others >= 0.0).then_some(Self {
            others,
            at: word as u32,
        })
    }

    fn word(self) -> u64 {
        u64::from(self.others.to_bits()) << 32 | u64::from(self.at)
    }
}

impl Pair {
    fn new(first: f32, second: f32) -> Self {
        let pair = Self(AtomicU64::new(0));
        pair.store(first, second);
        pair
    }

    #[inline]
    fn load(&self) -> (f32, f32) {
        let word = self.0.load(Ordering::Relaxed);
        (
            f32::from_bits((word >> 32) as u32),
            f32::from_bits(word as u32),
        )
    }

    #[inline]
    fn store(&self, first: f32, second: f32) {
        let word = u64::from(first.to_bits()) << 32 | u64::from(second.to_bits());
        self.0.store(word, Ordering::Relaxed);
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    fn slot() -> Slot {
        Slot::default()
    }

    #[test]
    fn a_new_one_knows_nothing() {
        let slot = slot();
        assert_eq!(slot.own(), 0);
        assert!(slot.seen().is_none() && slot.usual().is_none());
        assert!(slot.foretold().is_none() && slot.failing().is_none());
    }

    #[test]
    fn own_requests_are_counted_back_and_never_below_0() {
        let slot = slot();
        assert_eq!((slot.enter(), slot.enter(), slot.own()), (0, 1, 2));
        (0..3).for_each(|_| slot.leave());
        assert_eq!(slot.own(), 0);
    }

    #[test]
    fn what_shares_a_word_does_not_change_its_neighbour() {
        let slot = slot();
        slot.set_usual(3.0);
        slot.set_slowness(2.0);
        slot.foretell(Some(5.0));
        slot.set_slowness(4.0);
        assert_eq!((slot.usual(), slot.foretold()), (Some(3.0), Some(5.0)));
        assert_eq!(slot.slowness().to_bits(), 4_f32.to_bits());
        assert_eq!(slot.slowness_before().to_bits(), 2_f32.to_bits());
        slot.foretell(None);
        assert!(slot.foretold().is_none());
        assert_eq!(slot.slowness_before().to_bits(), 2_f32.to_bits());
        slot.see(Seen {
            others: 0.0,
            at: u32::MAX,
        });
        let seen = slot.seen().expect("0 is something");
        assert_eq!((seen.others.to_bits(), seen.at), (0, u32::MAX));
    }
}
