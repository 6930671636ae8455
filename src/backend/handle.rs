use std::sync::atomic::{AtomicU32, Ordering};

/// Names one membership of one backend: it stays the same while the backend is a member, and is
/// never given to another, of this pool or any other.
///
/// A handle has a *slot*, a small number, so that a picker can keep what it learns in a plain
/// table. Slots of backends that have left are used again before new ones are. The whole handle is
/// not, so compare handles before you believe what stands in the table.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::Handle;
///
/// let handle = Handle::of_slot(3);
/// assert_eq!(handle.slot(), 3);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle {
    slot: u32,
    generation: u32,
}

impl Handle {
    /// Names the member at `slot` of a set whose members never change places, such as a slice.
    pub fn of_slot(slot: usize) -> Self {
        Self::new(slot, 0)
    }

    /// Names a new member, unlike any other of any pool of this process.
    pub(crate) fn unique(slot: usize) -> Self {
        // `Relaxed`: only that no number comes twice matters. (It does after 4 billion members.)
        static MEMBERS: AtomicU32 = AtomicU32::new(1);
        Self::new(slot, MEMBERS.fetch_add(1, Ordering::Relaxed))
    }

    fn new(slot: usize, generation: u32) -> Self {
        Self {
            slot: u32::try_from(slot).unwrap_or(u32::MAX),
            generation,
        }
    }

    /// For tables of atomic words.
    pub(crate) fn to_bits(self) -> u64 {
        (u64::from(self.slot) << 32) | u64::from(self.generation)
    }

    pub(crate) fn from_bits(bits: u64) -> Self {
        Self {
            slot: (bits >> 32) as u32,
            generation: bits as u32,
        }
    }

    /// Returns the slot.
    pub fn slot(self) -> usize {
        self.slot as usize
    }
}
