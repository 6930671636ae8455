use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::list::List;
use super::slow_start::{MINIMUM, share};
use super::{BackendSet, SlowStart, least_in_flight};
use crate::backend::{Guard, Handle};
use crate::random::mix;

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

/// So much longer than a restraint a list looks out for it, in nanoseconds: a second.
const SLACK: u64 = 1_000_000_000;

impl Guarded {
    /// Sums up the guards of a list of so many. `None` if all are open.
    pub(super) fn of(
        guards: impl Iterator<Item = Guard>,
        members: usize,
        slow_start: Option<SlowStart>,
    ) -> Option<Self> {
        let window = slow_start.map_or(0, SlowStart::window);
        let (mut count, mut until, mut oldest) = (0, 0, u64::MAX);
        for guard in guards {
            let (begin, end) = match guard {
                Guard::Open => continue,
                Guard::Trial { .. } => (u64::MAX, u64::MAX),
                Guard::Ramping { since } => (since, since.saturating_add(window)),
                // It will be prolonged, which needs not be published then.
                Guard::Restrained { until } => (until, until.saturating_add(window + SLACK)),
            };
            count += 1;
            until = until.max(end);
            oldest = oldest.min(begin);
        }
        (count > 0).then(|| Self {
            slow_start,
            until,
            oldest: (count == members && oldest < u64::MAX).then_some(oldest),
            over: AtomicBool::new(false),
        })
    }

    /// Whether somebody has found that it is over.
    #[inline]
    pub(super) fn was_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

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
        self.list.len()
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

    fn least_in_flight(&self, random: u64) -> Option<usize> {
        // Nobody looks less loaded here than there, so a minimum that looks the same is one here, too.
        let rank = self.list.least_in_flight(random)?;
        if self.in_flight(rank) == self.list.in_flight(rank) {
            return Some(rank);
        }
        least_in_flight(self, mix(random), |rank| self.weight(rank))
    }
}
