use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Budget, Hedge, ObserveAttempts};
use crate::Backoff;
use crate::backend::{Failure, Outcome};
use crate::balance::{Balance, Track};

/// What all clones of a retrying service share.
pub(super) struct Core<T, Req, R, K, P> {
    pub(super) balance: Balance<T, Req, R, K>,
    pub(super) repeat: P,
    pub(super) settings: Settings,
}

/// What is retried, how often, and when.
#[derive(Clone)]
pub struct Settings {
    pub(super) attempts: u32,
    pub(super) on: On,
    pub(super) backoff: Backoff,
    pub(super) total_time: Option<Duration>,
    pub(super) budget: Budget,
    pub(super) hedge: Option<Arc<Hedge>>,
    pub(super) observer: Option<Arc<dyn ObserveAttempts>>,
}

/// Which failures are retried.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct On {
    failures: u8,
    pub(super) rejected: bool,
}

impl Settings {
    /// Whether somebody wants to know of attempts that went well.
    #[inline]
    pub(super) fn looks_at_successes(&self) -> bool {
        self.observer.is_some() || self.hedge.is_some()
    }

    pub(super) fn new() -> Self {
        use Failure::{Connect, Gateway, Other, Timeout};
        Self {
            attempts: 3,
            on: [Connect, Timeout, Gateway, Other].into_iter().collect(),
            backoff: Backoff::PAUSES,
            total_time: None,
            budget: Budget::new(),
            hedge: None,
            observer: None,
        }
    }
}

impl<T, Req, R, K, P> Core<T, Req, R, K, P> {
    /// Whether all is well with a response, as far as its head shows.
    #[inline]
    pub(super) fn is_good<In>(&self, response: &K::Response) -> bool
    where
        K: Track<In>,
    {
        self.balance.tracker().head(response).failed.is_none()
    }
}

impl On {
    pub(super) fn contains(self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::Failure(failure) => self.failures & bit(failure) != 0,
            Outcome::Rejected => self.rejected,
            Outcome::Success | Outcome::Cancelled => false,
        }
    }
}

impl FromIterator<Failure> for On {
    fn from_iter<I: IntoIterator<Item = Failure>>(failures: I) -> Self {
        Self {
            failures: failures
                .into_iter()
                .fold(0, |all, failure| all | bit(failure)),
            rejected: false,
        }
    }
}

fn bit(failure: Failure) -> u8 {
    match failure {
        Failure::Connect => 1,
        Failure::Timeout => 2,
        Failure::Gateway => 4,
        Failure::Response => 8,
        Failure::Other => 16,
        Failure::Body => 0,
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("attempts", &self.attempts)
            .field("on", &self.on)
            .field("backoff", &self.backoff)
            .field("total_time", &self.total_time)
            .field("budget", &self.budget)
            .field("hedge", &self.hedge)
            .finish_non_exhaustive()
    }
}
