use std::sync::Arc;

use crate::backend::{Backend, Hold, Settings};

/// Several changes to a [`Pool`](crate::Pool) that are published as one; see
/// [`Pool::edit`](crate::Pool::edit).
///
/// The changes are noted down and applied in their order once the closure returns. No lock is held
/// meanwhile, so the closure may use the pool itself, and sees it as it was.
///
/// # Examples
///
/// ```
/// use evenkeel::{Backend, Pool};
///
/// let pool = Pool::from([Backend::new("old", 1), Backend::new("other", 2)]);
/// let changes = pool.edit(|edit| {
///     edit.remove("old");
///     edit.insert(Backend::new("new", 3));
///     edit.set_weight("other", 5);
/// });
/// assert_eq!((changes.inserted(), changes.updated(), changes.removed()), (1, 1, 1));
/// ```
#[derive(Debug)]
pub struct Edit<T> {
    pub(super) ops: Vec<Op<T>>,
}

#[derive(Debug)]
pub(super) enum Op<T> {
    Put(Wish<T>),
    Remove(Arc<str>),
    Weight(Arc<str>, u32),
    /// What an operator orders, given what was ordered before.
    Hold(Arc<str>, fn(Hold) -> Hold),
    ReplaceAll(Vec<Wish<T>>, fn(&T, &T) -> bool),
}

/// A backend as someone wants it to be. Without a value, the member's own is kept.
#[derive(Debug)]
pub(super) struct Wish<T> {
    pub(super) id: Arc<str>,
    pub(super) settings: Settings,
    pub(super) value: Option<T>,
}

/// What a change to a [`Pool`](crate::Pool) did, counted in backends.
///
/// When [`any`](Self::any) is false nothing was published. (Nor is it when an edit undid what it
/// did itself.)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    pub(super) inserted: usize,
    pub(super) updated: usize,
    pub(super) removed: usize,
    pub(super) unchanged: usize,
    pub(super) reordered: bool,
}

impl<T> Edit<T> {
    /// Inserts a backend, or updates the one with the same id; see
    /// [`Pool::insert`](crate::Pool::insert).
    pub fn insert(&mut self, backend: Backend<T>) {
        self.ops.push(Op::Put(backend.into()));
    }

    /// Updates the settings of a member, and not its value.
    #[cfg(feature = "tower")]
    pub(crate) fn resettle<V>(&mut self, backend: Backend<V>) {
        self.ops.push(Op::Put(Wish {
            id: backend.id,
            settings: backend.settings,
            value: None,
        }));
    }

    /// Removes a backend, if it is a member.
    pub fn remove(&mut self, id: &str) {
        self.ops.push(Op::Remove(id.into()));
    }

    /// Sets the weight of a backend, if it is a member.
    pub fn set_weight(&mut self, id: &str, weight: u32) {
        self.ops.push(Op::Weight(id.into(), weight));
    }

    /// Gives a backend no new requests, if it is a member.
    pub fn drain(&mut self, id: &str) {
        self.ops.push(Op::drain(id));
    }

    /// Takes a drained backend back, if it is a member.
    pub fn undrain(&mut self, id: &str) {
        self.ops.push(Op::undrain(id));
    }

    /// Takes a backend out, if it is a member; see [`Pool::force_down`](crate::Pool::force_down).
    pub fn force_down(&mut self, id: &str) {
        self.ops.push(Op::force_down(id));
    }

    /// Uses a backend whatever its health, if it is a member; see
    /// [`Pool::force_up`](crate::Pool::force_up).
    pub fn force_up(&mut self, id: &str) {
        self.ops.push(Op::force_up(id));
    }

    /// Leaves a backend to its health again, if it is a member.
    pub fn unforce(&mut self, id: &str) {
        self.ops.push(Op::unforce(id));
    }
}

impl<T> Op<T> {
    pub(super) fn drain(id: &str) -> Self {
        Self::Hold(id.into(), |_| Hold::Drain)
    }

    pub(super) fn undrain(id: &str) -> Self {
        Self::Hold(id.into(), |hold| match hold {
            Hold::Drain => Hold::None,
            other => other,
        })
    }

    pub(super) fn force_down(id: &str) -> Self {
        Self::Hold(id.into(), |_| Hold::Down)
    }

    pub(super) fn force_up(id: &str) -> Self {
        Self::Hold(id.into(), |_| Hold::Up)
    }

    pub(super) fn unforce(id: &str) -> Self {
        Self::Hold(id.into(), |hold| match hold {
            Hold::Up | Hold::Down => Hold::None,
            other => other,
        })
    }
}

impl<T> From<Backend<T>> for Wish<T> {
    fn from(backend: Backend<T>) -> Self {
        Self {
            id: backend.id,
            settings: backend.settings,
            value: Some(backend.value),
        }
    }
}

impl Changes {
    /// Returns how many backends joined.
    pub fn inserted(self) -> usize {
        self.inserted
    }

    /// Returns how many members got other settings or another value.
    pub fn updated(self) -> usize {
        self.updated
    }

    /// Returns how many backends left.
    pub fn removed(self) -> usize {
        self.removed
    }

    /// Returns how many members were named and stayed as they were.
    pub fn unchanged(self) -> usize {
        self.unchanged
    }

    /// Returns whether any backend joined, left, changed, or changed its place in the order.
    pub fn any(self) -> bool {
        self.inserted + self.updated + self.removed > 0 || self.reordered
    }

    /// Returns whether any member was named at all.
    pub(super) fn found(self) -> bool {
        self.any() || self.unchanged > 0
    }
}
