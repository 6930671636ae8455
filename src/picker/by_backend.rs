//! What a picker learns of each backend, shared with the pickers that come after it.

use std::sync::Arc;

use crate::backend::Handle;
use crate::set::{BackendSet, Chunks};

/// One `S` for each member of a set, by slot. Tables of later sets share it for as long as the
/// backend is a member; who comes to its slot after it begins anew.
///
/// A request keeps the table that it was picked by, so tables share what is the same in pieces:
/// requests that last long, while thousands of backends come and go, do not fill the memory.
pub(super) struct ByBackend<S>(Chunks<(Handle, Arc<S>)>);

impl<S: Default> ByBackend<S> {
    /// The table for a set's members: with what the one before has of them, and new ones for those
    /// who are new. O(members).
    pub(super) fn of(members: &dyn BackendSet, before: Option<&Self>) -> Self {
        let mut table = before.map_or_else(Chunks::new, |before| before.0.clone());
        let mut is_member = vec![false; table.end().max(members.len())];
        for rank in 0..members.len() {
            let handle = members.handle(rank);
            let slot = handle.slot();
            if is_member.len() <= slot {
                is_member.resize(slot + 1, false);
            }
            is_member[slot] = true;
            if table.get(slot).is_none_or(|&(known, _)| known != handle) {
                table.replace(slot, Some((handle, Arc::default())));
            }
        }
        for (slot, is_member) in is_member.into_iter().enumerate() {
            if !is_member && table.get(slot).is_some() {
                table.replace(slot, None);
            }
        }
        Self(table)
    }

    /// What is known of a backend, if it is the one that has the slot.
    #[inline]
    pub(super) fn get(&self, backend: Handle) -> Option<&S> {
        self.shared(backend).map(Arc::as_ref)
    }

    #[inline]
    pub(super) fn shared(&self, backend: Handle) -> Option<&Arc<S>> {
        let (owner, known) = self.0.get(backend.slot())?;
        (*owner == backend).then_some(known)
    }

    /// What is known of whoever has a slot.
    #[inline]
    pub(super) fn at(&self, slot: usize) -> Option<&S> {
        self.0.get(slot).map(|(_, known)| known.as_ref())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &S> {
        (0..self.0.end()).filter_map(|slot| self.at(slot))
    }

    /// Those of its backends that another one has not: it looks only where the two differ.
    pub(super) fn without(&self, other: Option<&Self>) -> impl Iterator<Item = &S> {
        self.0
            .differing(other.map(|other| &other.0))
            .filter(move |(handle, _)| other.is_none_or(|other| other.shared(*handle).is_none()))
            .map(|(_, known)| known.as_ref())
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Known {
        _something: u8,
    }

    struct Set(Vec<Handle>);

    impl BackendSet for Set {
        fn len(&self) -> usize {
            self.0.len()
        }

        fn id(&self, _rank: usize) -> &'static str {
            ""
        }

        fn handle(&self, rank: usize) -> Handle {
            self.0[rank]
        }
    }

    #[test]
    fn what_is_known_stays_with_its_backend_and_not_with_the_slot() {
        let (stays, leaves, comes) = (Handle::unique(70), Handle::unique(2), Handle::unique(2));
        let before = ByBackend::<Known>::of(&Set(vec![leaves, stays]), None);
        let after = ByBackend::of(&Set(vec![stays, comes]), Some(&before));
        let same =
            |a: Option<&Arc<Known>>, b: Option<&Arc<Known>>| Arc::ptr_eq(a.unwrap(), b.unwrap());
        assert!(same(before.shared(stays), after.shared(stays)));
        assert!(after.get(leaves).is_none() && before.get(comes).is_none());
        assert!(!same(before.shared(leaves), after.shared(comes)));
        // Requests to the one that has left still find what they belong to.
        assert!(before.get(leaves).is_some());
        assert!(after.at(2).is_some());
        assert!(after.at(3).is_none() && after.at(71).is_none());
        assert_eq!(after.iter().count(), 2);
        let is = |known: &Known, other: Option<&Known>| std::ptr::eq(known, other.unwrap());
        let left: Vec<_> = before.without(Some(&after)).collect();
        assert!(left.len() == 1 && is(left[0], before.get(leaves)));
        let joined: Vec<_> = after.without(Some(&before)).collect();
        assert!(joined.len() == 1 && is(joined[0], after.get(comes)));
        assert_eq!(after.without(None).count(), 2);
        let same = ByBackend::of(&Set(vec![stays, comes]), Some(&after));
        assert_eq!(same.without(Some(&after)).count(), 0);
    }
}
