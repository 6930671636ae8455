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

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_last_sixteen_are_kept() {
        let recent = Recent::new();
        assert_eq!(recent.slots().count(), 0);
        recent.push(7);
        assert_eq!(recent.slots().collect::<Vec<_>>(), [7]);
        (100..100 + Recent::LEN).for_each(|slot| recent.push(slot));
        let mut slots: Vec<_> = recent.slots().collect();
        slots.sort_unstable();
        assert_eq!(slots, (100..100 + Recent::LEN).collect::<Vec<_>>());
    }
}
