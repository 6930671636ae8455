use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chunks::Chunks;
use super::index::Index;
use super::list::List;
use super::slow_start::share;
use super::status::PoolStatus;
use super::tiers::{Standing, portions};
use super::{BackendSet, Rules};
use crate::backend::{
    BackendInfo, Condition, Counts, Handle, Live, Record, Settings, State, Total, Why,
};
use crate::time::since_epoch;

/// One member, as the pool keeps it and as every snapshot shows it.
pub(crate) struct Member<T> {
    pub(crate) live: Arc<Live>,
    pub(crate) value: T,
    pub(super) settings: Settings,
    /// Another whenever anything in it is.
    pub(crate) condition: Arc<Condition>,
}

/// What a pool published: immutable, but for the live parts that it leads to.
pub(crate) struct Snapshot<T> {
    pub(super) version: u64,
    /// The same as long as ids, weights, hash keys and their order are; of no other pool.
    layout: u64,
    pub(super) members: Chunks<Member<T>>,
    /// Slots of all members, in the order in which they joined.
    pub(super) order: Arc<[u32]>,
    /// Who can be picked. If nobody can, one list that is empty.
    pub(crate) lists: Box<[Arc<List<T>>]>,
    pub(super) status: PoolStatus,
    pub(super) rules: Arc<Rules>,
}

/// What a snapshot is made of, but for the members.
pub(super) struct Making<'a> {
    pub(super) version: u64,
    pub(super) layout: u64,
    pub(super) rules: &'a Arc<Rules>,
    pub(super) guarded: &'a HashSet<u32>,
    pub(super) index: Option<&'a Index>,
    pub(super) total: Option<&'a Total>,
}

impl<T> Member<T> {
    pub(crate) fn state(&self) -> State {
        self.condition.state(&self.settings)
    }

    /// What the rest of the world can see of its condition.
    pub(super) fn seen(&self) -> (State, Option<Arc<Why>>, Option<Instant>) {
        let (condition, settings) = (&self.condition, &self.settings);
        let why = condition.why(settings).cloned();
        (self.state(), why, condition.until(settings))
    }

    pub(super) fn looks_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.live, &other.live)
            && self.settings == other.settings
            && Arc::ptr_eq(&self.condition, &other.condition)
    }

    fn standing(&self) -> Standing<'_> {
        Standing {
            state: self.state(),
            priority: self.settings.priority(),
            zone: self.settings.zone(),
            weight: self.settings.weight,
        }
    }

    fn info(&self, now: Instant, eligible: bool, rules: &Rules) -> BackendInfo {
        let (condition, settings) = (&self.condition, &self.settings);
        let share = share(self.live.guard(), rules.slow_start, since_epoch(now));
        BackendInfo {
            id: Arc::clone(self.live.shared_id()),
            handle: self.live.handle(),
            settings: settings.clone(),
            state: self.state(),
            eligible,
            since: condition.since,
            why: condition.why(settings).cloned(),
            until: condition.until(settings),
            share,
            counts: self
                .live
                .record()
                .map_or_else(Counts::default, Record::counts),
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
            condition: Arc::clone(&self.condition),
        }
    }
}

impl<T> Snapshot<T> {
    pub(super) fn new(members: Chunks<Member<T>>, order: Arc<[u32]>, making: &Making<'_>) -> Self {
        let member = |place: usize| {
            let member = members.get(order[place] as usize);
            member.expect("a slot in the order has its member")
        };
        let standing = |place| member(place).standing();
        let (portions, status) = portions(order.len(), standing, making.rules);
        let (index, total) = (making.index, making.total);
        let list = |places: &[u32]| List::new(&members, &order, places, index, total);
        let lists = if portions.is_empty() {
            Box::new([Arc::new(list(&[]))])
        } else {
            let lists = portions.iter().map(|portion| {
                let mut list = list(&portion.places);
                list.share = portion.share;
                list.panic = portion.panic;
                if !portion.panic {
                    list.guard(making.guarded, making.rules.slow_start);
                }
                Arc::new(list)
            });
            lists.collect::<Box<[_]>>()
        };
        Self {
            version: making.version,
            layout: making.layout,
            lists,
            members,
            order,
            status,
            rules: Arc::clone(making.rules),
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn layout(&self) -> u64 {
        self.layout
    }

    /// Draws a list, each with a chance of its share of the requests.
    pub(crate) fn draw(&self, random: u64) -> &Arc<List<T>> {
        &self.lists[self.drawn(random)]
    }

    /// The place of the list that is drawn.
    pub(crate) fn drawn(&self, random: u64) -> usize {
        let mut left = random as f64 / u64::MAX as f64;
        let last = self.lists.len() - 1;
        for (at, list) in self.lists[..last].iter().enumerate() {
            left -= list.share;
            if left < 0.0 {
                return at;
            }
        }
        last
    }

    fn is_eligible(&self, slot: usize) -> bool {
        self.lists.iter().any(|list| list.rank_of(slot).is_some())
    }

    /// Whether a pick of this member is guarded, at least until a time in nanoseconds.
    pub(super) fn is_guarded(&self, slot: usize, until: u64) -> bool {
        let mut lists = self.lists.iter();
        let list = lists.find(|list| list.rank_of(slot).is_some());
        let guarded = list.and_then(|list| list.guarded());
        guarded.is_some_and(|guarded| guarded.ends_after(until))
    }

    /// Whether a member is used whatever its health.
    pub(super) fn panics(&self, slot: usize) -> bool {
        let panic = |list: &Arc<List<T>>| list.panic && list.rank_of(slot).is_some();
        self.lists.iter().any(panic)
    }

    /// The member with a handle, eligible or not, if it takes requests that ask for it.
    ///
    /// One that its health took out does not, but in panic; nor one on trial, where a request that
    /// asks for nobody in particular goes first.
    #[cfg(feature = "tower")]
    pub(crate) fn bound(&self, handle: Handle) -> Option<&Member<T>> {
        let slot = handle.slot();
        let member = self.members.get(slot)?;
        let takes = match member.state() {
            State::Healthy
            | State::Degraded
            | State::ForcedUp
            | State::Draining
            | State::ZeroWeight => true,
            State::ForcedDown => false,
            State::Trial | State::Unchecked | State::Unhealthy | State::Ejected => {
                self.panics(slot)
            }
        };
        (takes && member.live.handle() == handle).then_some(member)
    }

    /// The member with a handle.
    #[cfg(feature = "tower")]
    pub(crate) fn member_of(&self, handle: Handle) -> Option<&Member<T>> {
        let member = self.members.get(handle.slot())?;
        (member.live.handle() == handle).then_some(member)
    }

    pub(super) fn len_all(&self) -> usize {
        self.order.len()
    }

    pub(super) fn list(&self, now: Instant) -> Vec<BackendInfo> {
        let infos = self.all().map(|member| self.info(member, now));
        infos.collect()
    }

    pub(super) fn info(&self, member: &Member<T>, now: Instant) -> BackendInfo {
        let slot = member.live.handle().slot();
        member.info(now, self.is_eligible(slot), &self.rules)
    }

    pub(crate) fn all(&self) -> impl ExactSizeIterator<Item = &Member<T>> {
        self.order.iter().map(|&slot| {
            let member = self.members.get(slot as usize);
            member.expect("a slot in the order has its member")
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
pub(super) use ask_the_member;

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
