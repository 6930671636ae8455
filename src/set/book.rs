use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};
use std::sync::Arc;

use super::chunks::Chunks;
use super::edit::{Changes, Op, Wish};
use super::index::Index;
use super::snapshot::{Member, Snapshot};
use crate::backend::{Handle, LatencySettings, Live, Total};

/// The write side of a pool, behind its lock: who is a member, and what was published last.
pub(super) struct Book<T> {
    slots: HashMap<Arc<str>, u32>,
    members: Chunks<Member<T>>,
    order: Arc<[u32]>,
    /// The lowest first, so that a pool that shrinks becomes narrow again.
    free: BinaryHeap<Reverse<u32>>,
    /// How many slots were ever in use at once.
    width: u32,
    latency: LatencySettings,
    /// Kept from the moment that a picker asks for it.
    index: Option<Index>,
    /// The same.
    total: Option<Total>,
    snapshot: Arc<Snapshot<T>>,
}

/// The operations of one edit, under way.
struct Draft<T> {
    changes: Changes,
    /// Members that may differ from those of the last snapshot.
    touched: Vec<u32>,
    joined: Vec<u32>,
    /// Not given out again before the edit ends, so that a slot stands for one member throughout.
    freed: Vec<u32>,
    replaced: Vec<Replaced<T>>,
}

/// What an edit took out of the book, to be dropped by the caller without the lock: a value's
/// `Drop` may want the pool.
pub(super) enum Replaced<T> {
    Value { _old: T },
    Member { _old: Member<T> },
}

impl<T: Clone> Book<T> {
    pub(super) fn new(latency: LatencySettings) -> Self {
        let order: Arc<[u32]> = Arc::default();
        Self {
            slots: HashMap::new(),
            members: Chunks::new(),
            order: Arc::clone(&order),
            free: BinaryHeap::new(),
            width: 0,
            latency,
            index: None,
            total: None,
            snapshot: Arc::new(Snapshot::new(0, Chunks::new(), order, None, None)),
        }
    }

    pub(super) fn snapshot(&self) -> &Arc<Snapshot<T>> {
        &self.snapshot
    }

    pub(super) fn contains(&self, id: &str) -> bool {
        self.slots.contains_key(id)
    }

    pub(super) fn member(&self, id: &str) -> Option<&Member<T>> {
        self.members.get(*self.slots.get(id)? as usize)
    }

    /// Applies the operations in their order. The new snapshot, if a reader could tell it from the
    /// old one, is then in [`snapshot`](Self::snapshot).
    pub(super) fn apply(&mut self, ops: Vec<Op<T>>) -> (Changes, Vec<Replaced<T>>) {
        // A value's `Clone` is somebody else's code, and may panic.
        let book = RepairOnPanic(self);
        let done = book.0.apply_all(ops);
        std::mem::forget(book);
        done
    }

    fn apply_all(&mut self, ops: Vec<Op<T>>) -> (Changes, Vec<Replaced<T>>) {
        let mut draft = Draft {
            changes: Changes::default(),
            touched: Vec::new(),
            joined: Vec::new(),
            freed: Vec::new(),
            replaced: Vec::new(),
        };
        let mut order = None;
        for op in ops {
            match op {
                Op::Put(wish) => {
                    self.put(wish, None, &mut draft);
                }
                Op::Remove(id) => self.remove(&id, &mut draft),
                Op::Weight(id, weight) => self.alter(&id, &mut draft, |member| {
                    std::mem::replace(&mut member.settings.weight, weight) != weight
                }),
                Op::Drain(id, drained) => self.alter(&id, &mut draft, |member| {
                    std::mem::replace(&mut member.drained, drained) != drained
                }),
                Op::ReplaceAll(wishes, same) => {
                    order = Some(self.replace_all(wishes, same, &mut draft));
                }
            }
        }
        self.settle(order, draft)
    }

    fn settle(&mut self, order: Option<Vec<u32>>, draft: Draft<T>) -> (Changes, Vec<Replaced<T>>) {
        let mut changes = draft.changes;
        let mut reordered = false;
        if order.is_some() || !draft.joined.is_empty() || !draft.freed.is_empty() {
            let listed = order.is_some();
            let mut order = order.unwrap_or_else(|| {
                let mut order = self.order.to_vec();
                order.extend(draft.joined);
                order
            });
            order.retain(|&slot| self.members.get(slot as usize).is_some());
            if order[..] != self.order[..] {
                self.order = order.into();
                reordered = true;
                changes.reordered = listed && changes.inserted + changes.removed == 0;
            }
        }
        self.free.extend(draft.freed.into_iter().map(Reverse));
        if reordered || draft.touched.iter().any(|&slot| self.differs(slot)) {
            self.renew();
        }
        (changes, draft.replaced)
    }

    /// Whether a reader could tell the member from the one that was published last.
    fn differs(&self, slot: u32) -> bool {
        let published = self.snapshot.members.get(slot as usize);
        match (published, self.members.get(slot as usize)) {
            (Some(old), Some(new)) => !new.looks_like(old),
            (old, new) => old.is_some() != new.is_some(),
        }
    }

    /// From now on keeps an index of the members by load, a total of all loads, or both.
    pub(super) fn keep(&mut self, index: bool, total: bool) {
        let mut index = (index && self.index.is_none()).then(Index::default);
        let total = (total && self.total.is_none()).then(Total::new);
        if index.is_none() && total.is_none() {
            return;
        }
        for &slot in &*self.order {
            let Some(member) = self.members.get(slot as usize) else {
                continue;
            };
            if let Some(index) = &mut index {
                member.live.index(index.place(slot as usize));
            }
            if let Some(total) = &total {
                member.live.count_in(total);
            }
        }
        self.index = index.or_else(|| self.index.take());
        self.total = total.or_else(|| self.total.take());
        self.renew();
    }

    fn renew(&mut self) {
        self.snapshot = Arc::new(Snapshot::new(
            self.snapshot.version + 1,
            self.members.clone(),
            Arc::clone(&self.order),
            self.index.as_ref(),
            self.total.clone(),
        ));
    }

    /// Inserts or updates; returns the slot. `same` tells whether two values are
    /// interchangeable; without it a given value always replaces the old one.
    fn put(
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
        member.settings = wish.settings;
        if let Some(value) = value {
            let old = std::mem::replace(&mut member.value, value);
            member.values += 1;
            draft.replaced.push(Replaced::Value { _old: old });
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
        let member = Member {
            live: Arc::new(Live::new(Arc::clone(&wish.id), handle, self.latency)),
            value,
            settings: wish.settings,
            drained: false,
            values: 0,
        };
        let live = Arc::clone(&member.live);
        self.members.replace(slot as usize, Some(member));
        if let Some(index) = &mut self.index {
            live.index(index.place(slot as usize));
        }
        if let Some(total) = &self.total {
            live.count_in(total);
        }
        self.slots.insert(wish.id, slot);
        draft.joined.push(slot);
        draft.changes.inserted += 1;
        draft.touched.push(slot);
        Some(slot)
    }

    fn remove(&mut self, id: &str, draft: &mut Draft<T>) {
        let Some(&slot) = self.slots.get(id) else {
            return;
        };
        if let Some(member) = self.members.replace(slot as usize, None) {
            member.live.retire();
            draft.replaced.push(Replaced::Member { _old: member });
        }
        self.slots.remove(id);
        draft.freed.push(slot);
        draft.changes.removed += 1;
        draft.touched.push(slot);
    }

    fn alter(
        &mut self,
        id: &str,
        draft: &mut Draft<T>,
        change: impl FnOnce(&mut Member<T>) -> bool,
    ) {
        let Some(&slot) = self.slots.get(id) else {
            return;
        };
        if let Some(member) = self.members.get_mut(slot as usize) {
            if change(member) {
                draft.changes.updated += 1;
                draft.touched.push(slot);
            } else {
                draft.changes.unchanged += 1;
            }
        }
    }

    /// Returns the order that the list asks for.
    fn replace_all(
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

/// Makes the book whole again when an edit is cut short: the members are what counts, and the rest
/// is derived from them. What the edit had done by then stays, and is published with the next one.
struct RepairOnPanic<'a, T: Clone>(&'a mut Book<T>);

impl<T: Clone> Drop for RepairOnPanic<'_, T> {
    fn drop(&mut self) {
        let book = &mut *self.0;
        let member = |slot: u32| Some((slot, book.members.get(slot as usize)?));
        let members = || (0..book.width).filter_map(member);
        let slots: HashMap<_, _> = members()
            .map(|(slot, member)| (Arc::clone(member.live.shared_id()), slot))
            .collect();
        let mut order = book.order.to_vec();
        order.retain(|&slot| member(slot).is_some());
        let known: HashSet<u32> = order.iter().copied().collect();
        order.extend(
            members()
                .map(|(slot, _)| slot)
                .filter(|slot| !known.contains(slot)),
        );
        let free = (0..book.width).filter(|&slot| member(slot).is_none());
        let free = free.map(Reverse).collect();
        (book.slots, book.order, book.free) = (slots, order.into(), free);
    }
}
