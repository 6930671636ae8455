use std::sync::Arc;

use crate::backend::{Backend, Settings};

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
    Drain(Arc<str>, bool),
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
        self.ops.push(Op::Drain(id.into(), true));
    }

    /// Takes a drained backend back, if it is a member.
    pub fn undrain(&mut self, id: &str) {
        self.ops.push(Op::Drain(id.into(), false));
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
