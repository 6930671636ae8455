use std::fmt;

use crate::backend::State;

/// How a pool is as a whole, from [`Pool::status`](crate::Pool::status).
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
/// assert!(!status.is_in_panic());
/// println!("{status}"); // 2 backends: 1 healthy, 1 draining
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct PoolStatus {
    counts: [usize; STATES.len()],
    pub(super) tiers: Vec<TierStatus>,
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

const STATES: [State; 10] = [
    State::Healthy,
    State::ForcedUp,
    State::Degraded,
    State::Trial,
    State::Unchecked,
    State::Unhealthy,
    State::Ejected,
    State::Draining,
    State::ForcedDown,
    State::ZeroWeight,
];

impl PoolStatus {
    pub(super) fn count(&mut self, state: State) {
        if let Some(at) = position(state) {
            self.counts[at] += 1;
        }
    }

    /// Returns how many members there are.
    pub fn members(&self) -> usize {
        self.counts.iter().sum()
    }

    /// Returns how many members are in a state.
    pub fn count_of(&self, state: State) -> usize {
        position(state).map_or(0, |at| self.counts[at])
    }

    /// Returns how many are used first: healthy, or forced up.
    pub fn healthy(&self) -> usize {
        self.tiers.iter().map(|tier| tier.healthy).sum()
    }

    /// Returns how many their traffic took out, those on trial included.
    pub fn ejected(&self) -> usize {
        self.count_of(State::Ejected) + self.count_of(State::Trial)
    }

    /// Returns whether any tier [ignores health](super::Rules::panic_threshold).
    pub fn is_in_panic(&self) -> bool {
        self.tiers.iter().any(|tier| tier.panic)
    }

    /// Returns the failover tiers, the first first.
    pub fn tiers(&self) -> &[TierStatus] {
        &self.tiers
    }
}

fn position(state: State) -> Option<usize> {
    STATES.iter().position(|&other| other == state)
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
            .field("tiers", &self.tiers)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for PoolStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.members() == 1 { "" } else { "s" };
        write!(f, "{} backend{s}", self.members())?;
        let mut comma = ": ";
        for state in STATES {
            let count = self.count_of(state);
            if count > 0 {
                write!(f, "{comma}{count} {state}")?;
                comma = ", ";
            }
        }
        for tier in self.tiers.iter().filter(|tier| tier.panic) {
            write!(f, "{comma}tier {} in panic", tier.priority)?;
            comma = ", ";
        }
        Ok(())
    }
}
