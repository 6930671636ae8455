//! What a picker learns of each backend, shared with the pickers that come after it.

use std::sync::Arc;

use crate::backend::Handle;
use crate::set::BackendSet;

/// One `S` for each member of a set, by slot. Tables of later sets share it for as long as the
/// backend is a member; who comes to its slot after it begins anew.
pub(super) struct ByBackend<S>(Box<[Option<Arc<S>>]>);

/// What is kept of one backend.
pub(super) trait OfBackend {
    /// Nothing is known of it yet.
    fn new(backend: Handle) -> Self;

    /// Whose it is.
    fn backend(&self) -> Handle;
}

impl<S: OfBackend> ByBackend<S> {
    /// The table for a set's members: with what the one before has of them, and new ones for those
    /// who are new. O(members).
    pub(super) fn of(members: &dyn BackendSet, before: Option<&Self>) -> Self {
        let handles = (0..members.len()).map(|rank| members.handle(rank));
        let end = handles.clone().map(|handle| handle.slot() + 1).max();
        let mut table = vec![None; end.unwrap_or(0)];
        for handle in handles {
            let known = before.and_then(|before| before.shared(handle));
            let entry = known.map_or_else(|| Arc::new(S::new(handle)), Arc::clone);
            table[handle.slot()] = Some(entry);
        }
        Self(table.into_boxed_slice())
    }

    /// What is known of a backend, if it is the one that has the slot.
    #[inline]
    pub(super) fn get(&self, backend: Handle) -> Option<&S> {
        self.shared(backend).map(Arc::as_ref)
    }

    #[inline]
    pub(super) fn shared(&self, backend: Handle) -> Option<&Arc<S>> {
        let entry = self.0.get(backend.slot())?.as_ref();
        entry.filter(|entry| entry.backend() == backend)
    }

    /// What is known of whoever has a slot.
    #[inline]
    pub(super) fn at(&self, slot: usize) -> Option<&S> {
        self.0.get(slot)?.as_deref()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &S> {
        self.0.iter().flatten().map(Arc::as_ref)
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    struct Known(Handle);

    impl OfBackend for Known {
        fn new(backend: Handle) -> Self {
            Self(backend)
        }

        fn backend(&self) -> Handle {
            self.0
        }
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
        assert!(after.at(2).is_some_and(|known| known.0 == comes));
        assert!(after.at(3).is_none() && after.at(71).is_none());
        assert_eq!(after.iter().count(), 2);
    }
}
