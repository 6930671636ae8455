//! What a picker learns of each backend, by slot, shared with the pickers that come after it.

use std::sync::Arc;

use crate::backend::Handle;
use crate::set::BackendSet;

/// One `S` for each slot of a set, in pieces that the tables of later sets share: what is noted of
/// a backend is there for as long as it is a member.
pub(super) struct ByBackend<S>(Box<[Arc<[S; PIECE]>]>);

const PIECE: usize = 64;

/// What is kept of one backend.
pub(super) trait Slot: Default {
    /// Whether this is what was noted of that backend, and not of one that had the slot before it.
    fn is_of(&self, backend: Handle) -> bool;

    /// Begins anew, for a backend that has just joined.
    fn begin(&self, backend: Handle);
}

impl<S: Slot> ByBackend<S> {
    /// The table for a set's members: that of the set before, grown, with new slots for those who
    /// are new. O(members).
    pub(super) fn of(members: &dyn BackendSet, before: Option<&Self>) -> Self {
        let handles = (0..members.len()).map(|rank| members.handle(rank));
        let end = handles.clone().map(|handle| handle.slot() + 1).max();
        let mut pieces = before.map_or_else(Vec::new, |table| table.0.to_vec());
        while pieces.len() * PIECE < end.unwrap_or(0) {
            pieces.push(Arc::new(std::array::from_fn(|_| S::default())));
        }
        let table = Self(pieces.into_boxed_slice());
        for handle in handles {
            if let Some(slot) = table.slot(handle.slot())
                && !slot.is_of(handle)
            {
                slot.begin(handle);
            }
        }
        table
    }

    /// What is noted of a backend, if it is still the one that has the slot.
    #[inline]
    pub(super) fn get(&self, backend: Handle) -> Option<&S> {
        self.slot(backend.slot()).filter(|slot| slot.is_of(backend))
    }

    /// What is noted of whoever has a slot.
    #[inline]
    pub(super) fn slot(&self, slot: usize) -> Option<&S> {
        let piece = self.0.get(slot / PIECE)?;
        Some(&piece[slot % PIECE])
    }
}
