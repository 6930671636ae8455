use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::chunks::Chunks;
use super::index::{Index, Mask};
use super::slow_start::{MINIMUM, SlowStart, share};
use super::snapshot::{Member, ask_the_member};
use super::{BackendSet, least_in_flight};
use crate::backend::{Guard, Handle, Total};

/// Backends that a part of the requests can choose from: one list for each tier and zone that gets
/// any.
pub(crate) struct List<T> {
    members: Chunks<Member<T>>,
    /// `None` when rank and slot are the same.
    slots: Option<Slots>,
    len: usize,
    /// While the weights of all are the same.
    index: Option<(Index, Mask)>,
    /// Whether they are, and the sum of them.
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

/// So much longer than a restraint a list looks out for it, in nanoseconds: a second.
const SLACK: u64 = 1_000_000_000;

/// Some on the list do not take every request that is picked for them.
pub(crate) struct Guarded {
    slow_start: Option<SlowStart>,
    /// When all of that is over, in nanoseconds.
    until: u64,
    /// When the first began, if all on the list have begun lately.
    oldest: Option<u64>,
    /// `Relaxed`: whoever sees it late looks again.
    over: AtomicBool,
}

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
            index: None,
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
        if let (Some(index), true) = (index, list.equal) {
            let slots = (0..list.len).filter_map(|rank| list.slot(rank));
            list.index = Some((index.clone(), Mask::of(slots)));
        }
        list
    }

    /// Takes note of those of its members that are guarded.
    pub(super) fn guard(&mut self, guarded: &HashSet<u32>, slow_start: Option<SlowStart>) {
        let mine = guarded
            .iter()
            .filter(|&&slot| self.rank_of(slot as usize).is_some());
        let guards: Vec<Guard> = mine
            .filter_map(|&slot| self.members.get(slot as usize))
            .map(|member| member.live.guard())
            .filter(|&guard| guard != Guard::Open)
            .collect();
        let window = slow_start.map_or(0, SlowStart::window);
        let (mut until, mut oldest, mut slack) = (0, u64::MAX, 0);
        for &guard in &guards {
            let begin = match guard {
                Guard::Open => continue,
                Guard::Trial { .. } => {
                    until = u64::MAX;
                    continue;
                }
                Guard::Ramping { since } => since,
                Guard::Restrained { until } => {
                    // It will be prolonged, which needs not be published then.
                    slack = SLACK;
                    until
                }
            };
            until = until.max(begin.saturating_add(window + slack));
            oldest = oldest.min(begin);
        }
        let guarded = (!guards.is_empty()).then(|| Guarded {
            slow_start,
            until,
            oldest: (guards.len() == self.len && oldest < u64::MAX).then_some(oldest),
            over: AtomicBool::new(false),
        });
        self.guarded = guarded.map(Box::new);
    }

    #[inline]
    pub(crate) fn member(&self, rank: usize) -> Option<&Member<T>> {
        self.members.get(self.slot(rank)?)
    }

    /// What to heed with a pick from this list, if anything.
    #[inline]
    pub(crate) fn guarded(&self) -> Option<&Guarded> {
        let guarded = self.guarded.as_ref()?;
        (!guarded.over.load(Ordering::Relaxed)).then_some(guarded)
    }

    #[inline]
    fn slot(&self, rank: usize) -> Option<usize> {
        match &self.slots {
            None => (rank < self.len).then_some(rank),
            Some(slots) => slots.on.get(rank).map(|&slot| slot as usize),
        }
    }
}

impl Guarded {
    /// The part of its picks that a backend takes.
    pub(crate) fn share(&self, guard: Guard, now: u64) -> f64 {
        share(guard, self.slow_start, now) / self.most(now)
    }

    /// The largest share of any on the list.
    fn most(&self, now: u64) -> f64 {
        let Some(oldest) = self.oldest else {
            return 1.0;
        };
        let Some(slow_start) = self.slow_start else {
            return if now < oldest { MINIMUM } else { 1.0 };
        };
        match now.checked_sub(oldest) {
            Some(elapsed) => slow_start.share(elapsed),
            None => MINIMUM,
        }
    }

    /// Whether it is over. If so, nobody need ask again.
    pub(crate) fn is_over(&self, now: u64) -> bool {
        let over = now >= self.until;
        if over {
            self.over.store(true, Ordering::Relaxed);
        }
        over
    }

    pub(super) fn ends_after(&self, time: u64) -> bool {
        self.until >= time
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
        if let Some((index, mask)) = &self.index
            && let Some(rank) = index
                .least(mask, random)
                .and_then(|slot| self.rank_of(slot))
        {
            return Some(rank);
        }
        // The same walk as the default, here with every call inlined.
        if self.equal {
            least_in_flight(self, random, |_| 1)
        } else {
            least_in_flight(self, random, |rank| self.weight(rank))
        }
    }
}

/// A list in which the requests in flight at a guarded backend count as if they filled a backend of
/// its present size: pickers that go by load fill it to its share, and no further.
pub(crate) struct Scaled<'a, T> {
    list: &'a List<T>,
    guarded: &'a Guarded,
    now: u64,
}

impl<'a, T> Scaled<'a, T> {
    pub(crate) fn new(list: &'a List<T>, guarded: &'a Guarded, now: u64) -> Self {
        Self { list, guarded, now }
    }
}

impl<T> BackendSet for Scaled<'_, T> {
    fn len(&self) -> usize {
        self.list.len
    }

    fn id(&self, rank: usize) -> &str {
        self.list.id(rank)
    }

    fn weight(&self, rank: usize) -> u32 {
        self.list.weight(rank)
    }

    fn in_flight(&self, rank: usize) -> usize {
        let Some(member) = self.list.member(rank) else {
            return 0;
        };
        let in_flight = member.live.in_flight();
        match member.live.guard() {
            Guard::Ramping { .. } | Guard::Restrained { .. } if in_flight > 0 => {
                let share = self.guarded.share(member.live.guard(), self.now);
                (in_flight as f64 / share).ceil() as usize
            }
            _ => in_flight,
        }
    }

    fn latency(&self, rank: usize, now: Instant) -> Option<Duration> {
        self.list.latency(rank, now)
    }

    fn priority(&self, rank: usize) -> u32 {
        self.list.priority(rank)
    }

    fn zone(&self, rank: usize) -> Option<&str> {
        self.list.zone(rank)
    }

    fn hash_key(&self, rank: usize) -> &str {
        self.list.hash_key(rank)
    }

    fn metadata(&self, rank: usize, key: &str) -> Option<&str> {
        self.list.metadata(rank, key)
    }

    fn handle(&self, rank: usize) -> Handle {
        self.list.handle(rank)
    }

    fn rank_of(&self, slot: usize) -> Option<usize> {
        self.list.rank_of(slot)
    }

    fn total_weight(&self) -> u64 {
        self.list.total_weight()
    }

    fn total_in_flight(&self) -> usize {
        self.list.total_in_flight()
    }
}
