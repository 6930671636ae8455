use crate::sync::{AtomicU64, Ordering};

/// Requests in flight, and how many there may be: one word, so that both are of one moment.
///
/// ```text
/// bits 63..32: the maximum    bits 31..0: in flight
/// ```
///
/// Entering acquires what leaving releases, as with a lock. The order towards those who wait is
/// made by the fences of their line.
#[derive(Debug)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn new(max: u32) -> Self {
        Self(AtomicU64::new(u64::from(max) << 32))
    }

    /// Counts one more in, if there is room.
    #[inline]
    pub(super) fn enter(&self) -> bool {
        let one_more = |word: u64| (in_flight(word) < max(word)).then(|| word + 1);
        let entered = self
            .0
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, one_more);
        entered.is_ok()
    }

    /// Counts one out that was counted in. `SeqCst` for
    /// [`call_after_step`](crate::backend::Line::call_after_step).
    #[inline]
    pub(super) fn leave(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn set_max(&self, max: u32) {
        let change = |word: u64| Some(u64::from(max) << 32 | u64::from(in_flight(word)));
        let changed = self
            .0
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, change);
        debug_assert!(changed.is_ok(), "it always changes");
    }

    /// For how many more there is room.
    #[inline]
    pub(super) fn free(&self) -> u32 {
        let word = self.0.load(Ordering::Relaxed);
        max(word).saturating_sub(in_flight(word))
    }

    pub(super) fn max(&self) -> u32 {
        max(self.0.load(Ordering::Relaxed))
    }

    pub(super) fn in_flight(&self) -> u32 {
        in_flight(self.0.load(Ordering::Relaxed))
    }
}

fn max(word: u64) -> u32 {
    (word >> 32) as u32
}

fn in_flight(word: u64) -> u32 {
    word as u32
}
