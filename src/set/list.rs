use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::chunks::Chunks;
use super::guarded::Guarded;
use super::index::Index;
use super::lowest::Lowest;
use super::member::{Member, ask_the_member};
use super::{BackendSet, SlowStart, least_in_flight};
use crate::backend::{Handle, Total};

/// Backends that a part of the requests can choose from: one list for each tier and zone that gets
/// any.
pub(crate) struct List<T> {
    members: Chunks<Member<T>>,
    /// `None` when rank and slot are the same.
    slots: Option<Slots>,
    len: usize,
    lowest: Option<Lowest>,
    /// Whether the weights of all are the same, and the sum of them.
    equal: bool,
    total_weight: u64,
    total: Option<Total>,
    /// What part of all requests.
    pub(crate) share: f64,
    pub(super) panic: bool,
    guarded: Option<Box<Guarded>>,
}

struct Slots {
    /// By rank.
    on: Box<[u32]>,
    /// Those of the members that are not on the list.
    out: Box<[u32]>,
    /// By slot; `OUT` for those that are not on the list.
    ranks: Box<[u32]>,
}

const OUT: u32 = u32::MAX;

impl<T> List<T> {
    pub(super) fn new(
        members: &Chunks<Member<T>>,
        order: &[u32],
        places: &[u32],
        index: Option<&Index>,
        total: Option<&Total>,
    ) -> Self {
        let slots = Slots::of(order, places);
        let mut list = Self {
            members: members.clone(),
            len: places.len(),
            slots,
            lowest: None,
            equal: false,
            total_weight: 0,
            total: total.cloned(),
            share: 1.0,
            panic: false,
            guarded: None,
        };
        let first = list.weight(0);
        let weights = (0..list.len).map(|rank| list.weight(rank));
        (list.equal, list.total_weight) = weights.fold((true, 0), |(equal, sum), weight| {
            (equal && weight == first, sum + u64::from(weight))
        });
        if let Some(index) = index {
            let backend = |rank| Some((list.slot_of(rank)?, list.weight(rank)));
            list.lowest = Lowest::of(index, (0..list.len).map_while(backend));
        }
        list
    }

    /// Takes note of those of its members that are guarded.
    pub(super) fn guard(&mut self, guarded: &HashSet<u32>, slow_start: Option<SlowStart>) {
        let mine = guarded
            .iter()
            .filter(|&&slot| self.rank_of(slot as usize).is_some());
        let guards = mine
            .filter_map(|&slot| self.members.get(slot as usize))
            .map(|member| member.live.guard());
        self.guarded = Guarded::of(guards, self.len, slow_start).map(Box::new);
    }

    #[inline]
    pub(crate) fn member(&self, rank: usize) -> Option<&Member<T>> {
        self.members.get(self.slot_of(rank)?)
    }

    /// What to heed with a pick from this list, if anything.
    #[inline]
    pub(crate) fn guarded(&self) -> Option<&Guarded> {
        let guarded = self.guarded.as_deref()?;
        (!guarded.was_over()).then_some(guarded)
    }

    #[inline]
    fn slot_of(&self, rank: usize) -> Option<usize> {
        match &self.slots {
            None => (rank < self.len).then_some(rank),
            Some(slots) => slots.on.get(rank).map(|&slot| slot as usize),
        }
    }
}

impl Slots {
    /// `None` if all members are on the list, and each at its own slot.
    fn of(order: &[u32], places: &[u32]) -> Option<Self> {
        let slots: Box<[u32]> = places.iter().map(|&place| order[place as usize]).collect();
        let identity = slots.len() == order.len()
            && slots
                .iter()
                .enumerate()
                .all(|(rank, &slot)| rank == slot as usize);
        if identity {
            return None;
        }
        let end = slots.iter().max().map_or(0, |&slot| slot as usize + 1);
        let mut ranks = vec![OUT; end].into_boxed_slice();
        for (rank, &slot) in slots.iter().enumerate() {
            ranks[slot as usize] = rank as u32;
        }
        let is_out = |slot: &u32| ranks.get(*slot as usize).is_none_or(|&rank| rank == OUT);
        let out = order.iter().copied().filter(is_out).collect();
        Some(Self {
            on: slots,
            out,
            ranks,
        })
    }
}

impl<T> BackendSet for List<T> {
    ask_the_member!();

    fn slot(&self, rank: usize) -> usize {
        self.slot_of(rank).unwrap_or(rank)
    }

    fn len(&self) -> usize {
        self.len
    }

    fn rank_of(&self, slot: usize) -> Option<usize> {
        match &self.slots {
            None => (slot < self.len).then_some(slot),
            Some(slots) => match slots.ranks.get(slot) {
                Some(&rank) if rank != OUT => Some(rank as usize),
                _ => None,
            },
        }
    }

    fn total_weight(&self) -> u64 {
        self.total_weight
    }

    fn total_in_flight(&self) -> usize {
        let walk = || (0..self.len).map(|rank| self.in_flight(rank)).sum();
        let Some(total) = &self.total else {
            return walk();
        };
        let out = self.slots.as_ref().map_or(&[][..], |slots| &slots.out);
        // Whichever is shorter.
        if out.len() > self.len {
            return walk();
        }
        let out = out
            .iter()
            .filter_map(|&slot| self.members.get(slot as usize));
        let out = out.map(|member| member.live.in_flight()).sum();
        total.sum().saturating_sub(out)
    }

    fn least_in_flight(&self, random: u64) -> Option<usize> {
        let lowest = self.lowest.as_ref();
        let found = lowest.and_then(|lowest| lowest.find(random, |rank| self.in_flight(rank)));
        if found.is_some() {
            return found;
        }
        // The same walk as the default, here with every call inlined.
        if self.equal {
            least_in_flight(self, random, |_| 1)
        } else {
            least_in_flight(self, random, |rank| self.weight(rank))
        }
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use crate::{Backend, Pool};

    #[test]
    fn a_list_finds_its_least_loaded_by_the_index_whatever_was_done_to_the_pool() {
        let pool: Pool<usize> = (0..3).map(|at| Backend::new(at.to_string(), at)).collect();
        pool.keep(true, false);
        let weighted = |id: &'static str, weight| Backend::new(id, 7).weight(weight);
        let changes: [&dyn Fn(); 8] = [
            &|| assert!(pool.insert(weighted("new", 2))),
            &|| assert!(pool.set_weight("1", 5)),
            &|| assert!(!pool.insert(weighted("1", 6))),
            &|| assert!(pool.remove("0")),
            &|| assert!(pool.drain("2")),
            &|| assert!(pool.set_weight("new", 0)),
            &|| assert!(pool.set_weight("new", 3)),
            &|| {
                pool.replace_all([weighted("new", 1), weighted("9", 9)]);
            },
        ];
        for change in changes {
            change();
            let snapshot = pool.snapshot();
            let list = &snapshot.lists[0];
            let lowest = list.lowest.as_ref().expect("all are indexed");
            assert!(lowest.find(1, |_| 0).is_some());
        }
    }
    #[test]
    fn the_index_comes_back_when_there_are_few_weights_again() {
        let pool: Pool<usize> = (0..100)
            .map(|at| Backend::new(at.to_string(), at).weight(at as u32 + 1))
            .collect();
        pool.keep(true, false);
        let is_indexed = || pool.snapshot().lists[0].lowest.is_some();
        assert!(!is_indexed());
        (0..60).for_each(|at| assert!(pool.set_weight(&at.to_string(), 7)));
        assert!(is_indexed());
        assert!(pool.set_weight("99", 101));
        assert!(is_indexed());
    }

    #[test]
    fn weights_that_are_kept_from_the_start_have_one_piece_each() {
        let pool: Pool<usize> = (0..900)
            .map(|at| Backend::new(at.to_string(), at).weight(at as u32 % 3 + 1))
            .collect();
        pool.keep(true, false);
        let snapshot = pool.snapshot();
        let lowest = snapshot.lists[0].lowest.as_ref().expect("all are indexed");
        assert_eq!(lowest.pieces(), 3);
    }
}
