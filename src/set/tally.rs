use super::status::TierStatus;
use crate::backend::State;

/// How many members of a snapshot are in which state, and how its tiers are: what
/// [`PoolStatus`](super::PoolStatus) has of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    counts: [usize; State::ALL.len()],
    pub(super) tiers: Vec<TierStatus>,
}

impl Tally {
    pub(super) fn count(&mut self, state: State) {
        self.counts[state as usize] += 1;
    }

    pub(super) fn members(&self) -> usize {
        self.counts.iter().sum()
    }

    pub(super) fn count_of(&self, state: State) -> usize {
        self.counts[state as usize]
    }

    pub(super) fn healthy(&self) -> usize {
        self.tiers.iter().map(TierStatus::healthy).sum()
    }

    pub(super) fn is_in_panic(&self) -> bool {
        self.tiers.iter().any(TierStatus::is_in_panic)
    }
}
