use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chunks::Chunks;
use super::index::{Index, Mask};
use super::{BackendSet, least_in_flight};
use crate::backend::{BackendInfo, Handle, Live, Settings, State, Total};

/// One member, as the pool keeps it and as every snapshot shows it.
pub(crate) struct Member<T> {
    pub(crate) live: Arc<Live>,
    pub(crate) value: T,
    pub(super) settings: Settings,
    pub(super) drained: bool,
    /// How often the value was replaced, since values cannot be compared.
    pub(crate) values: u32,
}

/// What a pool published: immutable, but for the live parts that it leads to.
pub(crate) struct Snapshot<T> {
    pub(super) version: u64,
    pub(super) members: Chunks<Member<T>>,
    /// Slots of all members, in the order in which they joined.
    pub(super) order: Arc<[u32]>,
    /// Slots of the eligible ones in the same order; `None` when rank and slot are the same.
    eligible: Option<Eligible>,
    /// While the weights of the eligible ones are the same.
    index: Option<(Index, Mask)>,
    /// Whether the eligible ones have the same weight, and the sum of their weights.
    equal: bool,
    total_weight: u64,
    total: Option<Total>,
}

pub(super) struct Eligible {
    slots: Box<[u32]>,
    /// Those of the others.
    out: Box<[u32]>,
    /// By slot; `OUT` for those that are not eligible.
    ranks: Box<[u32]>,
}

const OUT: u32 = u32::MAX;

impl<T> Member<T> {
    pub(crate) fn state(&self) -> State {
        if self.drained {
            State::Draining
        } else if self.settings.weight == 0 {
            State::ZeroWeight
        } else {
            State::Eligible
        }
    }

    pub(super) fn looks_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.live, &other.live)
            && self.settings == other.settings
            && self.drained == other.drained
            && self.values == other.values
    }

    pub(super) fn info(&self, now: Instant) -> BackendInfo {
        BackendInfo {
            id: Arc::clone(self.live.shared_id()),
            handle: self.live.handle(),
            settings: self.settings.clone(),
            state: self.state(),
            in_flight: self.live.in_flight(),
            latency: self.live.latency(now),
        }
    }
}

impl<T: Clone> Clone for Member<T> {
    fn clone(&self) -> Self {
        Self {
            live: Arc::clone(&self.live),
            value: self.value.clone(),
            settings: self.settings.clone(),
            drained: self.drained,
            values: self.values,
        }
    }
}

impl<T> Snapshot<T> {
    pub(super) fn new(
        version: u64,
        members: Chunks<Member<T>>,
        order: Arc<[u32]>,
        index: Option<&Index>,
        total: Option<Total>,
    ) -> Self {
        let mut snapshot = Self {
            version,
            eligible: Eligible::of(&members, &order),
            members,
            order,
            index: None,
            equal: false,
            total_weight: 0,
            total,
        };
        let first = snapshot.weight(0);
        let weights = (0..snapshot.len()).map(|rank| snapshot.weight(rank));
        (snapshot.equal, snapshot.total_weight) = weights
            .fold((true, 0), |(equal, sum), weight| {
                (equal && weight == first, sum + u64::from(weight))
            });
        if let (Some(index), true) = (index, snapshot.equal) {
            let slots = (0..snapshot.len()).filter_map(|rank| snapshot.slot(rank));
            snapshot.index = Some((index.clone(), Mask::of(slots)));
        }
        snapshot
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    #[inline]
    pub(crate) fn member(&self, rank: usize) -> Option<&Member<T>> {
        self.members.get(self.slot(rank)?)
    }

    /// The member with a handle, eligible or not, if it takes requests that ask for it.
    #[cfg(feature = "tower")]
    pub(crate) fn bound(&self, handle: Handle) -> Option<&Member<T>> {
        let member = self.members.get(handle.slot())?;
        let takes = match member.state() {
            State::Eligible | State::Draining | State::ZeroWeight => true,
        };
        (takes && member.live.handle() == handle).then_some(member)
    }

    pub(super) fn len_all(&self) -> usize {
        self.order.len()
    }

    pub(super) fn list(&self, now: Instant) -> Vec<BackendInfo> {
        self.all().map(|member| member.info(now)).collect()
    }

    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = &Member<T>> {
        self.order.iter().map(|&slot| {
            let member = self.members.get(slot as usize);
            member.expect("a slot in the order has its member")
        })
    }

    #[inline]
    fn slot(&self, rank: usize) -> Option<usize> {
        match &self.eligible {
            None => (rank < self.order.len()).then_some(rank),
            Some(eligible) => eligible.slots.get(rank).map(|&slot| slot as usize),
        }
    }
}

impl Eligible {
    fn of<T>(members: &Chunks<Member<T>>, order: &[u32]) -> Option<Self> {
        let eligible = |&&slot: &&u32| {
            let member = members.get(slot as usize);
            member.is_some_and(|member| member.state() == State::Eligible)
        };
        let slots: Box<[u32]> = order.iter().filter(eligible).copied().collect();
        let out = order.iter().filter(|slot| !eligible(slot)).copied();
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
        Some(Self {
            out: out.collect(),
            slots,
            ranks,
        })
    }
}

/// The part of [`BackendSet`] that is a question to the member at a rank.
macro_rules! ask_the_member {
    () => {
        fn id(&self, rank: usize) -> &str {
            self.member(rank).map_or("", |member| member.live.id())
        }

        fn weight(&self, rank: usize) -> u32 {
            self.member(rank).map_or(0, |member| member.settings.weight)
        }

        fn in_flight(&self, rank: usize) -> usize {
            self.member(rank)
                .map_or(0, |member| member.live.in_flight())
        }

        fn latency(&self, rank: usize, now: Instant) -> Option<Duration> {
            self.member(rank)?.live.latency(now)
        }

        fn priority(&self, rank: usize) -> u32 {
            self.member(rank)
                .map_or(0, |member| member.settings.priority())
        }

        fn zone(&self, rank: usize) -> Option<&str> {
            self.member(rank)?.settings.zone()
        }

        fn hash_key(&self, rank: usize) -> &str {
            self.member(rank).map_or("", |member| {
                member.settings.hash_key().unwrap_or(member.live.id())
            })
        }

        fn metadata(&self, rank: usize, key: &str) -> Option<&str> {
            self.member(rank)?.settings.metadata(key)
        }

        fn handle(&self, rank: usize) -> Handle {
            let member = self.member(rank);
            member.map_or(Handle::of_slot(rank), |member| member.live.handle())
        }
    };
}

impl<T> BackendSet for Snapshot<T> {
    ask_the_member!();

    fn len(&self) -> usize {
        match &self.eligible {
            None => self.order.len(),
            Some(eligible) => eligible.slots.len(),
        }
    }

    fn rank_of(&self, slot: usize) -> Option<usize> {
        match &self.eligible {
            None => (slot < self.order.len()).then_some(slot),
            Some(eligible) => match eligible.ranks.get(slot) {
                Some(&rank) if rank != OUT => Some(rank as usize),
                _ => None,
            },
        }
    }

    fn total_weight(&self) -> u64 {
        self.total_weight
    }

    fn total_in_flight(&self) -> usize {
        let Some(total) = &self.total else {
            return (0..self.len()).map(|rank| self.in_flight(rank)).sum();
        };
        let out = self.eligible.iter().flat_map(|eligible| &eligible.out);
        let out = out.filter_map(|&slot| self.members.get(slot as usize));
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

/// All members of a snapshot as a set of its own, eligible or not: what tables are built from.
pub(crate) struct AllMembers<'a, T>(pub(crate) &'a Snapshot<T>);

impl<T> AllMembers<'_, T> {
    fn member(&self, rank: usize) -> Option<&Member<T>> {
        let slot = *self.0.order.get(rank)?;
        self.0.members.get(slot as usize)
    }
}

impl<T> BackendSet for AllMembers<'_, T> {
    ask_the_member!();

    fn len(&self) -> usize {
        self.0.order.len()
    }

    fn rank_of(&self, slot: usize) -> Option<usize> {
        // Only table builders ask, and rarely.
        self.0
            .order
            .iter()
            .position(|&other| other as usize == slot)
    }
}
