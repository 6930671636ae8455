use std::sync::atomic::{AtomicU64, Ordering};

use super::sample::evenly;
use super::{Context, Needs, Picker};
use crate::set::BackendSet;

/// Picks one backend after the other.
///
/// # When to use
///
/// When requests cost much the same and backends are alike. Weights are ignored, except that 0 is
/// never picked; see [`WeightedRoundRobin`](super::WeightedRoundRobin). It does not see load: a
/// slow backend gets as many requests as a fast one, which [`LeastRequests`](super::LeastRequests)
/// avoids.
///
/// # Algorithm
///
/// One counter, shared by all clones, that starts at a random place and goes on across changes of
/// the set. So many programs do not start in step, and an update does not send a burst to the first
/// backend. A pick for another attempt is made at random among the rest: the failed backend's
/// neighbour does not inherit its share.
///
/// O(1), one atomic addition.
///
/// # Examples
///
/// ```
/// use evenkeel::Picker;
/// use evenkeel::picker::{Context, RoundRobin};
///
/// let picker = RoundRobin::starting_at(0);
/// let mut next = || picker.pick(&["a", "b"], &(), &mut Context::new());
/// assert_eq!([next(), next(), next()], [Some(0), Some(1), Some(0)]);
/// ```
#[derive(Debug)]
#[must_use]
pub struct RoundRobin {
    /// `Relaxed`: only the count itself matters.
    next: AtomicU64,
}

impl RoundRobin {
    /// Starts at a random place.
    pub fn new() -> Self {
        Self::starting_at(fastrand::u64(..))
    }

    /// Starts at a given place: 0 picks the first backend first.
    pub fn starting_at(start: u64) -> Self {
        Self {
            next: AtomicU64::new(start),
        }
    }
}

impl<Req: ?Sized> Picker<Req> for RoundRobin {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        let n = set.len();
        if n == 0 {
            return None;
        }
        if cx.attempt() == 0 {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let rank = (turn % n as u64) as usize;
            if set.weight(rank) > 0 {
                return Some(rank);
            }
        }
        evenly(set, cx.random())
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn rule(&self) -> &'static str {
        "its turn; one drawn at random when picking again"
    }
}

impl Default for RoundRobin {
    fn default() -> Self {
        Self::new()
    }
}
