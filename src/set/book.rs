use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Rules;
use super::chunks::Chunks;
use super::edit::{Changes, Op};
use super::events::Log;
use super::index::Index;
use super::member::Member;
use super::members::{Draft, Replaced};
use super::snapshot::{Making, Snapshot};
use super::watched::Watched;
use crate::backend::{Alarms, Guard, LatencySettings, Lines, Total};

/// The write side of a pool, behind its lock: who is a member, and what was published last.
pub(super) struct Book<T> {
    pub(super) slots: HashMap<Arc<str>, u32>,
    pub(super) members: Chunks<Member<T>>,
    pub(super) order: Arc<[u32]>,
    /// The lowest first, so that a pool that shrinks becomes narrow again.
    pub(super) free: BinaryHeap<Reverse<u32>>,
    /// How many slots were ever in use at once.
    pub(super) width: u32,
    pub(super) latency: LatencySettings,
    /// Kept from the moment that a picker asks for it.
    pub(super) index: Option<Index>,
    /// The same.
    pub(super) total: Option<Total>,
    pub(super) rules: Arc<Rules>,
    /// Who waits for room.
    pub(super) lines: Arc<Lines>,
    /// Whose gates may not be open.
    pub(super) guarded: HashSet<u32>,
    /// Whom their traffic took out, those on trial included.
    pub(super) ejected: HashSet<u32>,
    pub(super) watched: Watched,
    /// Something is to be published.
    pub(super) stale: bool,
    pub(super) alarms: Arc<Alarms>,
    pub(super) log: Arc<Log>,
    /// The number of what ids, weights and hash keys there are.
    layout: u64,
    snapshot: Arc<Snapshot<T>>,
}

impl<T: Clone> Book<T> {
    pub(super) fn new(latency: LatencySettings, alarms: Arc<Alarms>, log: Arc<Log>) -> Self {
        let order: Arc<[u32]> = Arc::default();
        let rules = Arc::new(Rules::new());
        let guarded = HashSet::new();
        let (length, newest_first) = rules.limits.line();
        let lines = Arc::new(Lines::new(length, newest_first));
        let nothing = Making {
            version: 0,
            layout: 0,
            rules: &rules,
            lines: &lines,
            guarded: &guarded,
            index: None,
            total: None,
        };
        Self {
            slots: HashMap::new(),
            members: Chunks::new(),
            order: Arc::clone(&order),
            free: BinaryHeap::new(),
            width: 0,
            latency,
            index: None,
            total: None,
            snapshot: Arc::new(Snapshot::new(Chunks::new(), order, &nothing)),
            rules,
            lines,
            guarded,
            ejected: HashSet::new(),
            watched: Watched::default(),
            stale: false,
            alarms,
            log,
            layout: 0,
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
        self.carefully(|book| book.apply_all(ops))
    }

    /// Makes a change which may panic: a value's `Clone` is somebody else's code.
    pub(super) fn carefully<R>(&mut self, change: impl FnOnce(&mut Self) -> R) -> R {
        let book = RepairOnPanic(self);
        let done = change(book.0);
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
                Op::Hold(id, order) => self.alter(&id, &mut draft, |member| {
                    let hold = order(member.condition.hold);
                    let changes = hold != member.condition.hold;
                    if changes {
                        member.condition.hold = hold;
                    }
                    changes
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
            // A slot that was freed is not given out again within the edit.
            if !draft.freed.is_empty() {
                let mut is_free = vec![false; self.width as usize];
                for &slot in &draft.freed {
                    is_free[slot as usize] = true;
                }
                order.retain(|&slot| !is_free[slot as usize]);
            }
            if order[..] != self.order[..] {
                self.order = order.into();
                reordered = true;
                changes.reordered = listed && changes.inserted + changes.removed == 0;
            }
        }
        self.free.extend(draft.freed.into_iter().map(Reverse));
        if reordered || draft.touched.iter().any(|&slot| self.differs(slot)) {
            let mut touched = draft.touched.iter();
            let mut elsewhere = reordered || touched.any(|&slot| self.lies_elsewhere(slot));
            if elsewhere {
                self.layout = new_layout();
            }
            elsewhere |= self.release_excess();
            self.stale = false;
            self.renew();
            if elsewhere {
                self.alarms.changed();
            }
        }
        (changes, draft.replaced)
    }

    /// Whether its settings or its value are others than those that were published last, or it is
    /// new or gone.
    fn lies_elsewhere(&self, slot: u32) -> bool {
        let published = self.snapshot.members.get(slot as usize);
        match (published, self.members.get(slot as usize)) {
            (Some(old), Some(new)) => {
                !Arc::ptr_eq(&old.live, &new.live)
                    || old.settings != new.settings
                    || old.condition.values != new.condition.values
            }
            (old, new) => old.is_some() != new.is_some(),
        }
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
        let index = index && self.index.is_none();
        let total = total && self.total.is_none();
        if index {
            let mut by_weight: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
            for &slot in &*self.all_slots() {
                if let Some(member) = self.members.get(slot as usize) {
                    let weight = member.settings.weight;
                    by_weight.entry(weight).or_default().push(slot);
                }
            }
            self.index = Some(Index::default());
            for (weight, slots) in by_weight {
                if let Some(index) = &mut self.index {
                    index.reserve(weight, slots.len());
                }
                for slot in slots {
                    self.reindex(slot);
                }
            }
        }
        if total {
            let total = Total::new();
            self.all_members()
                .for_each(|member| member.live.count_in(&total));
            self.total = Some(total);
        }
        if index || total {
            self.renew();
        }
    }

    /// Lets the index, if there is one, follow a member's weight.
    pub(super) fn reindex(&mut self, slot: u32) {
        let slot = slot as usize;
        if let (Some(index), Some(member)) = (&mut self.index, self.members.get(slot)) {
            index.place(slot, member.settings.weight, &member.live);
        }
    }

    pub(super) fn all_slots(&self) -> Arc<[u32]> {
        Arc::clone(&self.order)
    }

    pub(super) fn all_members(&self) -> impl Iterator<Item = &Member<T>> {
        let member = |&slot: &u32| self.members.get(slot as usize);
        self.order.iter().filter_map(member)
    }

    pub(super) fn set_rules(&mut self, rules: Rules) {
        if *self.rules == rules {
            return;
        }
        let before = std::mem::replace(&mut self.rules, Arc::new(rules));
        if before.limits != self.rules.limits {
            let (length, newest_first) = self.rules.limits.line();
            self.lines.set(length, newest_first);
            self.all_members().for_each(|member| self.limit(member));
        }
        self.renew();
    }

    /// Lets a member know how many requests it takes at once. Those who wait are called when that
    /// is published, as they may be on any change.
    pub(super) fn limit(&self, member: &Member<T>) {
        let max = self.rules.limits.of(member.settings.max_in_flight());
        member.live.set_limit(max, &self.lines);
    }

    pub(super) fn renew(&mut self) {
        self.open_gates();
        // Those of the last weights, now that there may be fewer.
        let left_out = self
            .index
            .as_ref()
            .map_or_else(Vec::new, Index::who_fits_now);
        for slot in left_out {
            self.reindex(slot);
        }
        let before = Arc::clone(&self.snapshot);
        self.snapshot = Arc::new(Snapshot::new(
            self.members.clone(),
            Arc::clone(&self.order),
            &Making {
                version: before.version + 1,
                layout: self.layout,
                rules: &self.rules,
                lines: &self.lines,
                guarded: &self.guarded,
                index: self.index.as_ref(),
                total: self.total.as_ref(),
            },
        ));
        self.watched.look_at(&self.snapshot.tally);
        self.tell_of_panic(&before);
    }
}

/// A number that no layout of any pool had before.
fn new_layout() -> u64 {
    // `Relaxed`: only that no number comes twice matters.
    static LAYOUTS: AtomicU64 = AtomicU64::new(1);
    LAYOUTS.fetch_add(1, Ordering::Relaxed)
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
        let guarded = members().filter(|(_, member)| member.live.guard() != Guard::Open);
        book.guarded = guarded.map(|(slot, _)| slot).collect();
        let ejected = members().filter(|(_, member)| member.condition.ejected().is_some());
        book.ejected = ejected.map(|(slot, _)| slot).collect();
        book.layout = new_layout();
        (book.slots, book.order, book.free) = (slots, order.into(), free);
    }
}
