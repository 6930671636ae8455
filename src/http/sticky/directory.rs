use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::Tokens;
use super::tokens::Pseudonym;
use crate::backend::{Handle, Value};
use crate::set::{Snapshot, Subscriber};

/// Who is a member of a pool, by id and by pseudonym; kept up to date by whoever changes it.
pub(super) struct Directory {
    tokens: Option<Tokens>,
    pages: ArcSwap<Pages>,
    /// Of which version of the pool they are.
    latest: Mutex<Option<u64>>,
}

#[derive(Default)]
struct Pages {
    members: HashMap<Arc<str>, Entry>,
    /// Under each key.
    pseudonyms: HashMap<Pseudonym, Found>,
}

/// A member that a session belongs to.
#[derive(Clone, Copy)]
pub(super) struct Found {
    pub(super) handle: Handle,
    /// Whether it takes no requests that are bound to it.
    pub(super) out: bool,
}

#[derive(Clone)]
struct Entry {
    handle: Handle,
    /// Its health, or an operator, took it out, and its sessions with it.
    out: bool,
    pseudonyms: Box<[Pseudonym]>,
}

impl Directory {
    pub(super) fn new(tokens: Option<Tokens>) -> Self {
        Self {
            tokens,
            pages: ArcSwap::default(),
            latest: Mutex::new(None),
        }
    }

    /// Returns a member and its id.
    pub(super) fn by_id(&self, id: &str) -> Option<(Found, Arc<str>)> {
        let pages = self.pages.load();
        let (id, entry) = pages.members.get_key_value(id)?;
        Some((entry.found(), Arc::clone(id)))
    }

    pub(super) fn by_pseudonym(&self, pseudonym: &Pseudonym) -> Option<Found> {
        self.pages.load().pseudonyms.get(pseudonym).copied()
    }

    /// What the first key calls a member.
    pub(super) fn pseudonym_of(&self, id: &str) -> Option<Pseudonym> {
        self.pages
            .load()
            .members
            .get(id)?
            .pseudonyms
            .first()
            .copied()
    }
}

impl<T: Value> Subscriber<T> for Directory {
    fn publish(&self, snapshot: &Arc<Snapshot<T>>) {
        let before = self.pages.load_full();
        let same = before.are_those_of(snapshot);
        let pages = || Arc::new(Pages::of(snapshot, &before, self.tokens.as_ref()));
        let built = (!same).then(pages);

        // Snapshots may come out of order.
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if latest.is_some_and(|latest| latest >= snapshot.version()) {
            return;
        }
        *latest = Some(snapshot.version());
        let unchanged = same && Arc::ptr_eq(&before, &self.pages.load());
        if !unchanged {
            self.pages.store(built.unwrap_or_else(pages));
        }
    }
}

impl Pages {
    /// Whether a snapshot has the same members, and the same of them take their sessions' requests.
    /// Their settings do not matter here.
    fn are_those_of<T>(&self, snapshot: &Snapshot<T>) -> bool {
        let mut members = snapshot.all();
        members.len() == self.members.len()
            && members.all(|member| {
                let known = self.members.get(member.live.id());
                known.is_some_and(|known| {
                    let handle = member.live.handle();
                    known.handle == handle && known.out == snapshot.bound(handle).is_none()
                })
            })
    }

    fn of<T>(snapshot: &Snapshot<T>, before: &Self, tokens: Option<&Tokens>) -> Self {
        let mut pages = Self::default();
        for member in snapshot.all() {
            let id = member.live.shared_id();
            let handle = member.live.handle();
            let entry = Entry {
                handle,
                out: snapshot.bound(handle).is_none(),
                pseudonyms: match (before.members.get(id), tokens) {
                    (Some(known), _) => known.pseudonyms.clone(),
                    (None, Some(tokens)) => tokens.pseudonyms(id),
                    (None, None) => Box::default(),
                },
            };
            for &pseudonym in &entry.pseudonyms {
                pages.pseudonyms.insert(pseudonym, entry.found());
            }
            pages.members.insert(Arc::clone(id), entry);
        }
        pages
    }
}

impl Entry {
    fn found(&self) -> Found {
        Found {
            handle: self.handle,
            out: self.out,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Backend, Pool};

    #[test]
    fn snapshots_that_come_late_change_nothing() {
        let pool = Pool::new();
        let mut snapshots = vec![pool.snapshot()];
        for id in ["a", "b"] {
            pool.insert(Backend::new(id, ()));
            snapshots.push(pool.snapshot());
        }
        pool.remove("b");
        snapshots.push(pool.snapshot());

        for order in [[3, 2, 1, 0], [1, 3, 2, 0], [0, 3, 1, 2]] {
            let directory = Directory::new(None);
            for at in order {
                directory.publish(&snapshots[at]);
            }
            assert!(directory.by_id("a").is_some(), "{order:?}");
            assert!(directory.by_id("b").is_none(), "{order:?}");
        }
    }
}
