use std::fmt;
use std::time::Instant;

use super::sources::{SourceState, SourceStatus};
use super::tally::Tally;
use crate::backend::{BackendInfo, Counts, Latencies, State};

/// A pool at one moment, as plain data, from [`Pool::status`](crate::Pool::status): each backend,
/// how many are in which state, what part of the requests each tier gets, and sums.
///
/// It prints as one line, and with `{:#}` as a table besides, of a line for each backend. With the
/// feature `serde` it can be serialised.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::State;
/// use evenkeel::{Backend, Pool};
///
/// let pool = Pool::from([Backend::new("a", ()), Backend::new("b", ())]);
/// pool.drain("b");
/// let status = pool.status();
/// assert_eq!((status.members(), status.healthy()), (2, 1));
/// assert_eq!(status.count_of(State::Draining), 1);
/// assert_eq!(status.backends()[1].state(), State::Draining);
/// assert!(!status.is_in_panic());
/// println!("{status}"); // 2 backends: 1 healthy, 1 draining
/// println!("{status:#}");
/// ```
#[derive(Clone)]
pub struct PoolStatus {
    pub(super) tally: Tally,
    pub(super) backends: Vec<BackendInfo>,
    pub(super) queued: usize,
    pub(super) sources: Vec<SourceStatus>,
    pub(super) watched: bool,
    pub(super) records_traffic: bool,
    pub(super) at: Instant,
}

/// How one failover tier is.
#[derive(Clone, Debug, PartialEq)]
pub struct TierStatus {
    pub(super) priority: u32,
    pub(super) members: usize,
    pub(super) healthy: usize,
    pub(super) degraded: usize,
    pub(super) share: f64,
    pub(super) panic: bool,
}

impl PoolStatus {
    /// Returns the members, in the order of [`Pool::list`](crate::Pool::list).
    pub fn backends(&self) -> &[BackendInfo] {
        &self.backends
    }

    /// Returns how many members there are.
    pub fn members(&self) -> usize {
        self.tally.members()
    }

    /// Returns how many members are in a state.
    pub fn count_of(&self, state: State) -> usize {
        self.tally.count_of(state)
    }

    /// Returns how many are used first: healthy, or forced up.
    pub fn healthy(&self) -> usize {
        self.tally.healthy()
    }

    /// Returns how many their traffic took out, those on trial included.
    pub fn ejected(&self) -> usize {
        self.count_of(State::Ejected) + self.count_of(State::Trial)
    }

    /// Returns whether any tier [ignores health](super::Rules::panic_threshold).
    pub fn is_in_panic(&self) -> bool {
        self.tally.is_in_panic()
    }

    /// Returns the failover tiers, the first first.
    pub fn tiers(&self) -> &[TierStatus] {
        &self.tally.tiers
    }

    /// Returns the sources that feed the pool, if any do, in the order in which they began.
    pub fn sources(&self) -> &[SourceStatus] {
        &self.sources
    }

    /// Returns whether somebody [watches](crate::health) the members' health.
    pub fn is_watched(&self) -> bool {
        self.watched
    }

    /// Returns whether the [traffic is recorded](crate::Pool::record_traffic).
    pub fn records_traffic(&self) -> bool {
        self.records_traffic
    }

    /// Returns how many requests wait for room; see [`Limits`](super::Limits).
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Returns how many requests are in flight at all members together.
    pub fn in_flight(&self) -> usize {
        let loads = self.backends.iter().map(BackendInfo::in_flight);
        loads.fold(0, usize::saturating_add)
    }

    /// Returns how the requests of all present members ended.
    pub fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        self.backends
            .iter()
            .for_each(|backend| sum += backend.counts());
        sum
    }

    /// Returns how long the requests of all present members took lately, if the
    /// [traffic is recorded](crate::Pool::record_traffic).
    pub fn latencies(&self) -> Option<Latencies> {
        let mut known = self.backends.iter().filter_map(BackendInfo::latencies);
        let mut sum = known.next()?.clone();
        known.for_each(|latencies| sum.add(latencies));
        Some(sum)
    }

    /// Returns when this was so, by the clock of [`BackendInfo::since`].
    pub fn at(&self) -> Instant {
        self.at
    }
}

impl TierStatus {
    /// Returns its [priority](crate::Backend::priority).
    pub fn priority(&self) -> u32 {
        self.priority
    }

    /// Returns how many members it has.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Returns how many of them are used first.
    pub fn healthy(&self) -> usize {
        self.healthy
    }

    /// Returns how many of them are degraded.
    pub fn degraded(&self) -> usize {
        self.degraded
    }

    /// Returns what part of the requests it gets, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Returns whether it [ignores health](super::Rules::panic_threshold).
    pub fn is_in_panic(&self) -> bool {
        self.panic
    }
}

impl fmt::Debug for PoolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolStatus")
            .field("states", &format_args!("{self}"))
            .field("tiers", &self.tally.tiers)
            .field("backends", &self.backends)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for PoolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.members() == 1 { "" } else { "s" };
        write!(f, "{} backend{s}", self.members())?;
        let mut comma = ": ";
        for state in State::ALL {
            let count = self.count_of(state);
            if count > 0 {
                write!(f, "{comma}{count} {state}")?;
                comma = ", ";
            }
        }
        for tier in self.tiers().iter().filter(|tier| tier.panic) {
            write!(f, "{comma}tier {} in panic", tier.priority)?;
            comma = ", ";
        }
        for source in self
            .sources
            .iter()
            .filter(|source| source.state() != SourceState::Fresh)
        {
            write!(f, "{comma}{} {}", source.name(), source.state())?;
            comma = ", ";
        }
        if f.alternate() {
            super::table::write(f, self)?;
        }
        Ok(())
    }
}
