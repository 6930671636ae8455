use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::chunks::Chunks;
use super::index::Index;
use super::list::List;
use super::member::{Member, ask_the_member};
use super::tally::Tally;
use super::tiers::portions;
use super::{BackendSet, Rules};
use crate::backend::{BackendInfo, Handle, Lines, Total};

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
    pub(super) tally: Tally,
    pub(crate) rules: Arc<Rules>,
    pub(crate) lines: Arc<Lines>,
}

/// What a snapshot is made of, but for the members.
pub(super) struct Making<'a> {
    pub(super) version: u64,
    pub(super) layout: u64,
    pub(super) rules: &'a Arc<Rules>,
    pub(super) lines: &'a Arc<Lines>,
    pub(super) guarded: &'a HashSet<u32>,
    pub(super) index: Option<&'a Index>,
    pub(super) total: Option<&'a Total>,
}

impl<T> Snapshot<T> {
    pub(super) fn new(members: Chunks<Member<T>>, order: Arc<[u32]>, making: &Making<'_>) -> Self {
        let member = |place: usize| {
            let member = members.get(order[place] as usize);
            member.expect("a slot in the order has its member")
        };
        let standing = |place| member(place).standing();
        let (portions, tally) = portions(order.len(), standing, making.rules);
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
            tally,
            rules: Arc::clone(making.rules),
            lines: Arc::clone(making.lines),
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
        use crate::backend::State;

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

    fn slot(&self, rank: usize) -> usize {
        self.0.order.get(rank).map_or(rank, |&slot| slot as usize)
    }

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
