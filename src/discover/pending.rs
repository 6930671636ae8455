use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::source::{Skipped, Update, What};
use crate::backend::Backend;

/// What a source has said that the pool does not have yet, merged: of each id only the last word is
/// kept.
pub(super) struct Pending<V> {
    /// Whether this is all that there is, and not what has changed.
    whole: bool,
    /// In the order in which the ids were named first.
    said: Vec<Said<V>>,
    places: HashMap<Arc<str>, usize>,
    /// Entries that are no good, and of which nothing better was said since.
    skipped: HashMap<Arc<str>, Arc<str>>,
    /// Something was said, even if it is that there is nothing.
    any: bool,
}

/// An id, and the backend of this id unless there is none any more.
pub(super) type Said<V> = (Arc<str>, Option<Backend<V>>);

/// All of it, taken out.
pub(super) struct Merged<V> {
    pub(super) whole: bool,
    pub(super) said: Vec<Said<V>>,
    pub(super) skipped: HashMap<Arc<str>, Arc<str>>,
}

impl<V> Pending<V> {
    pub(super) fn new() -> Self {
        Self {
            whole: false,
            said: Vec::new(),
            places: HashMap::new(),
            skipped: HashMap::new(),
            any: false,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.any
    }

    pub(super) fn add(&mut self, update: Update<V>) {
        self.any = true;
        match update.what {
            What::All(backends) => {
                *self = Self::new();
                (self.whole, self.any) = (true, true);
                self.said.reserve(backends.len());
                self.places.reserve(backends.len());
                for backend in backends {
                    let entry = Arc::clone(&backend.id);
                    if self.say(Arc::clone(&entry), Some(backend)) {
                        let why = "a later entry has the same id".into();
                        self.skipped.insert(entry, why);
                    }
                }
            }
            What::Changes(changes) => {
                for (id, backend) in changes {
                    self.say(id, backend);
                }
            }
        }
        for Skipped { entry, why } in update.skipped {
            self.skipped.insert(entry, why);
        }
    }

    /// Returns whether something was said of this id before.
    fn say(&mut self, id: Arc<str>, backend: Option<Backend<V>>) -> bool {
        self.skipped.remove(&id);
        match self.places.entry(id) {
            Entry::Occupied(known) => {
                self.said[*known.get()].1 = backend;
                true
            }
            Entry::Vacant(new) => {
                let id = Arc::clone(new.key());
                new.insert(self.said.len());
                self.said.push((id, backend));
                false
            }
        }
    }

    pub(super) fn take(&mut self) -> Merged<V> {
        let taken = std::mem::replace(self, Self::new());
        Merged {
            whole: taken.whole,
            said: taken.said,
            skipped: taken.skipped,
        }
    }
}
