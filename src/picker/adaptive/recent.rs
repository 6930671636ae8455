use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// The slots of the backends that were looked at last: where what is known is fresh.
///
/// `Relaxed`: an entry is a number of a slot on its own.
pub(super) struct Recent {
    slots: [AtomicU32; Recent::LEN],
    next: AtomicUsize,
}

impl Recent {
    pub(super) const LEN: usize = 16;
    const NOBODY: u32 = u32::MAX;

    pub(super) fn new() -> Self {
        Self {
            slots: std::array::from_fn(|_| AtomicU32::new(Self::NOBODY)),
            next: AtomicUsize::new(0),
        }
    }

    #[inline]
    pub(super) fn push(&self, slot: usize) {
        let at = self.next.fetch_add(1, Ordering::Relaxed);
        self.slots[at % Self::LEN].store(slot as u32, Ordering::Relaxed);
    }

    #[inline]
    pub(super) fn slots(&self) -> impl Iterator<Item = usize> {
        let slots = self.slots.iter().map(|slot| slot.load(Ordering::Relaxed));
        slots
            .filter(|&slot| slot != Self::NOBODY)
            .map(|slot| slot as usize)
    }
}
