use std::time::{Duration, Instant};

use super::{Live, Outcome};
use crate::load::LoadReport;
use crate::time::since_epoch;

/// Something that happened to a request, or was learnt of a backend, for [`Picker::observe`](crate::Picker::observe)
/// and [observers](crate::observe::Observer).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    at: Instant,
    /// The same, as pickers that keep it in a word want it: nanoseconds since the epoch.
    nanos: u64,
    event: Event,
}

/// What happened.
///
/// ```text
/// Dispatched --> Head --> Ended
///     |                    ^
///     +--------------------+   error before a head, or cancelled
/// ```
///
/// A success has always had its head. Reports and answers to probes come at any time.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The request was given to the backend.
    Dispatched,
    /// The response head arrived. A failed outcome is final; success is provisional.
    #[non_exhaustive]
    Head {
        /// Time since the dispatch.
        latency: Duration,
        /// How it looks so far.
        outcome: Outcome,
    },
    /// The request is over: the response has been read to its end, or given up.
    #[non_exhaustive]
    Ended {
        /// Time since the dispatch.
        duration: Duration,
        /// How it ended.
        outcome: Outcome,
        /// Whether its head had arrived before.
        after_head: bool,
    },
    /// The backend has said on a response how loaded it is. This comes before that response's
    /// [`Head`](Self::Head), while its request is in flight.
    Reported(LoadReport),
    /// The backend has answered a probe that was [asked](crate::picker::Context::probe) for.
    Probed(LoadReport),
}

impl Event {
    /// A [`Head`](Self::Head), for tests of pickers.
    pub fn head(latency: Duration, outcome: Outcome) -> Self {
        Self::Head { latency, outcome }
    }

    /// An [`Ended`](Self::Ended), for tests of pickers.
    pub fn ended(duration: Duration, outcome: Outcome, after_head: bool) -> Self {
        Self::Ended {
            duration,
            outcome,
            after_head,
        }
    }
}

impl Observation {
    /// An event at a moment.
    pub fn new(at: Instant, event: Event) -> Self {
        Self::new_at(at, since_epoch(at), event)
    }

    #[inline]
    pub(crate) fn new_at(at: Instant, nanos: u64, event: Event) -> Self {
        Self { at, nanos, event }
    }

    /// When it happened, in nanoseconds since the epoch.
    #[inline]
    pub(crate) fn nanos(&self) -> u64 {
        self.nanos
    }

    /// Returns when it happened.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Returns what happened.
    pub fn event(&self) -> Event {
        self.event
    }
}

/// Whoever wants to know what becomes of the requests of one list of backends.
pub(crate) trait Listener: Send + Sync {
    fn hear(&self, backend: &Live, observation: &Observation);
}
