//! Who joins a pool, changes, and leaves it.

use std::cmp::Reverse;
use std::sync::Arc;

use super::book::Book;
use super::edit::{Changes, Wish};
use super::events::Happened;
use super::member::Member;
use crate::backend::{Condition, Guard, Handle, Live};
use crate::time::{now, since_epoch};

/// The operations of one edit, under way.
pub(super) struct Draft<T> {
    pub(super) changes: Changes,
    /// Members that may differ from those of the last snapshot.
    pub(super) touched: Vec<u32>,
    pub(super) joined: Vec<u32>,
    /// Not given out again before the edit ends, so that a slot stands for one member throughout.
    pub(super) freed: Vec<u32>,
    pub(super) replaced: Vec<Replaced<T>>,
}

/// What an edit took out of the book, to be dropped by the caller without the lock: a value's
/// `Drop` may want the pool.
pub(super) enum Replaced<T> {
    Value { _old: T },
    Member { _old: Member<T> },
}

impl<T: Clone> Book<T> {
    /// Inserts or updates; returns the slot. `same` tells whether two values are
    /// interchangeable; without it a given value always replaces the old one.
    pub(super) fn put(
        &mut self,
        wish: Wish<T>,
        same: Option<fn(&T, &T) -> bool>,
        draft: &mut Draft<T>,
    ) -> Option<u32> {
        let Some(&slot) = self.slots.get(&wish.id) else {
            return self.join(wish, draft);
        };
        let known = self.members.get(slot as usize)?;
        let mut value = wish.value;
        if let Some(same) = same
            && let Some(unused) = value.take_if(|value| same(&known.value, value))
        {
            draft.replaced.push(Replaced::Value { _old: unused });
        }
        if value.is_none() && known.settings == wish.settings {
            draft.changes.unchanged += 1;
            return Some(slot);
        }
        let member = self.members.get_mut(slot as usize)?;
        let before = member.state();
        member.settings = wish.settings;
        if let Some(value) = value {
            let old = std::mem::replace(&mut member.value, value);
            member.condition.values += 1;
            draft.replaced.push(Replaced::Value { _old: old });
        }
        self.transition(slot, before);
        self.reindex(slot);
        if let Some(member) = self.members.get(slot as usize) {
            self.limit(member);
        }
        draft.changes.updated += 1;
        draft.touched.push(slot);
        Some(slot)
    }

    fn join(&mut self, wish: Wish<T>, draft: &mut Draft<T>) -> Option<u32> {
        let value = wish.value?;
        let slot = self.free.pop().map_or(self.width, |Reverse(slot)| slot);
        self.width = self.width.max(slot + 1);
        let handle = Handle::unique(slot as usize);
        let at = now();
        let member = Member {
            handle,
            live: Arc::new(Live::new(Arc::clone(&wish.id), handle, self.latency)),
            value,
            settings: wish.settings,
            condition: Condition::new(at, self.watched.newcomers()),
        };
        let live = Arc::clone(&member.live);
        let state = member.state();
        self.limit(&member);
        if state.is_in_use() && self.rules.slow_start.is_some() {
            live.gate().set(Guard::Ramping {
                since: since_epoch(at),
            });
            self.guarded.insert(slot);
        }
        if let Some(recording) = self.watched.recording() {
            live.record_for(&self.alarms, recording);
        }
        self.log.push(
            at,
            Happened::Joined {
                backend: Arc::clone(live.shared_id()),
                state,
            },
        );
        self.members.replace(slot as usize, Some(member));
        self.reindex(slot);
        if let Some(total) = &self.total {
            live.count_in(total);
        }
        self.slots.insert(wish.id, slot);
        draft.joined.push(slot);
        draft.changes.inserted += 1;
        draft.touched.push(slot);
        Some(slot)
    }

    pub(super) fn remove(&mut self, id: &str, draft: &mut Draft<T>) {
        let Some(&slot) = self.slots.get(id) else {
            return;
        };
        if let Some(member) = self.members.replace(slot as usize, None) {
            member.live.retire();
            if let Some(index) = &mut self.index {
                index.release(slot as usize);
            }
            self.log.push(
                now(),
                Happened::Left {
                    backend: Arc::clone(member.live.shared_id()),
                },
            );
            draft.replaced.push(Replaced::Member { _old: member });
        }
        self.slots.remove(id);
        self.guarded.remove(&slot);
        self.ejected.remove(&slot);
        draft.freed.push(slot);
        draft.changes.removed += 1;
        draft.touched.push(slot);
    }

    pub(super) fn alter(
        &mut self,
        id: &str,
        draft: &mut Draft<T>,
        change: impl FnOnce(&mut Member<T>) -> bool,
    ) {
        let Some(&slot) = self.slots.get(id) else {
            return;
        };
        if let Some(member) = self.members.get_mut(slot as usize) {
            let before = member.state();
            if change(member) {
                self.transition(slot, before);
                self.reindex(slot);
                draft.changes.updated += 1;
                draft.touched.push(slot);
            } else {
                draft.changes.unchanged += 1;
            }
        }
    }

    /// Returns the order that the list asks for.
    pub(super) fn replace_all(
        &mut self,
        wishes: Vec<Wish<T>>,
        same: fn(&T, &T) -> bool,
        draft: &mut Draft<T>,
    ) -> Vec<u32> {
        let mut order = Vec::with_capacity(wishes.len());
        let mut listed = vec![false; self.width as usize + wishes.len()];
        for wish in wishes {
            if let Some(slot) = self.put(wish, Some(same), draft)
                && !std::mem::replace(&mut listed[slot as usize], true)
            {
                order.push(slot);
            }
        }
        let gone: Vec<Arc<str>> = self
            .slots
            .iter()
            .filter(|&(_, &slot)| !listed[slot as usize])
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for id in gone {
            self.remove(&id, draft);
        }
        order
    }
}
