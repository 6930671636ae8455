use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::Live;
use super::Outcome;
use crate::sync::{AtomicU64, Ordering};

/// What a request that was picked for a backend has to get past, if anything.
///
/// ```text
///        ramp(since)              restrain(until)
/// Open ─────────────> Ramping ──────────────────────> Restrained ── until ──> Ramping, since then
///  │
///  └─ trial(epoch) ─> Free ── take ──> Taken ── a good head ──> Answered
///                                       ^ │ │                      │ ended, or given up
///           GivenUp ──────── take ──────┘ │ └─ success ─> Passed <─┘
///              ^                          │ └─ failure ─> Failed <── failure ── Answered
///              └───────── given up ───────┘
/// ```
///
/// The pool's writer, one at a time, opens it, ramps, restrains, and offers a trial; requests take
/// a trial and end it, by compare-and-swap from the very word that they took it with, so that what
/// belongs to a trial of the past changes nothing. One word, and nothing else is published with it.
/// The writer swaps instead of storing, so that the order of all changes is one that loom follows,
/// too.
#[derive(Debug)]
pub(crate) struct Gate(AtomicU64);

/// What a gate says at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    Open,
    /// In nanoseconds since the epoch.
    Ramping {
        since: u64,
    },
    /// The same.
    Restrained {
        until: u64,
    },
    Trial {
        epoch: NonZeroU32,
        phase: Phase,
    },
}

/// How far the one request has got that may show that a backend is well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Free,
    /// The same, but somebody has tried, and got no answer for as long as it was waited for.
    GivenUp,
    Taken,
    /// With a good head.
    Answered,
    Passed,
    Failed,
}

/// The right to be that request, while it waits to be sent. Dropping it hands it back.
#[derive(Debug)]
pub(crate) struct Trial {
    /// `None` once it has been passed on.
    live: Option<Arc<Live>>,
    epoch: NonZeroU32,
}

const KIND: u32 = 62;
const VALUE: u64 = (1 << KIND) - 1;

impl Gate {
    pub(super) fn new() -> Self {
        Self(AtomicU64::new(Guard::Open.word()))
    }

    pub(crate) fn look(&self) -> Guard {
        Guard::of(self.0.load(Ordering::Relaxed))
    }

    /// For the pool's writer.
    pub(crate) fn set(&self, guard: Guard) {
        self.0.swap(guard.word(), Ordering::AcqRel);
    }

    /// Takes the trial, if nobody else has it. Whoever does has to end it, or to hand it back; a
    /// trial of which neither happens has failed when its time is up.
    pub(super) fn take(&self, epoch: NonZeroU32) -> bool {
        self.step(epoch, Phase::Free, Phase::Taken)
            || self.step(epoch, Phase::GivenUp, Phase::Taken)
    }

    /// A good head has arrived.
    pub(super) fn answered(&self, epoch: NonZeroU32) {
        self.step(epoch, Phase::Taken, Phase::Answered);
    }

    /// The request is over. Returns whether that says anything.
    pub(super) fn end(&self, epoch: NonZeroU32, outcome: Outcome) -> bool {
        let end = |phase| {
            self.step(epoch, Phase::Taken, phase) || self.step(epoch, Phase::Answered, phase)
        };
        match outcome {
            Outcome::Success => end(Phase::Passed),
            Outcome::Failure(_) => end(Phase::Failed),
            Outcome::Rejected | Outcome::Cancelled => {
                self.step(epoch, Phase::Taken, Phase::GivenUp);
                // Whoever read a good head and lost interest has seen enough.
                self.step(epoch, Phase::Answered, Phase::Passed)
            }
        }
    }

    /// It was never sent.
    fn hand_back(&self, epoch: NonZeroU32) {
        self.step(epoch, Phase::Taken, Phase::Free);
    }

    fn step(&self, epoch: NonZeroU32, from: Phase, to: Phase) -> bool {
        let word = |phase| Guard::Trial { epoch, phase }.word();
        let (from, to) = (word(from), word(to));
        let step = self
            .0
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
        step.is_ok()
    }
}

impl Trial {
    pub(crate) fn new(live: Arc<Live>, epoch: NonZeroU32) -> Self {
        Self {
            live: Some(live),
            epoch,
        }
    }

    /// Passes it on.
    #[cfg(feature = "tower")]
    pub(crate) fn into_epoch(mut self) -> NonZeroU32 {
        self.live = None;
        self.epoch
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(live) = &self.live {
            live.gate().hand_back(self.epoch);
        }
    }
}

impl Guard {
    fn word(self) -> u64 {
        let (kind, value) = match self {
            Self::Open => (0, 0),
            Self::Ramping { since } => (1, since),
            Self::Restrained { until } => (2, until),
            Self::Trial { epoch, phase } => (3, u64::from(epoch.get()) << 8 | phase as u64),
        };
        kind << KIND | value & VALUE
    }

    fn of(word: u64) -> Self {
        let value = word & VALUE;
        match word >> KIND {
            0 => Self::Open,
            1 => Self::Ramping { since: value },
            2 => Self::Restrained { until: value },
            _ => Self::Trial {
                epoch: NonZeroU32::new((value >> 8) as u32).unwrap_or(NonZeroU32::MIN),
                phase: match value & 0xff {
                    0 => Phase::Free,
                    1 => Phase::GivenUp,
                    2 => Phase::Taken,
                    3 => Phase::Answered,
                    4 => Phase::Passed,
                    _ => Phase::Failed,
                },
            },
        }
    }
}

/// A time of the future as a gate knows it.
pub(crate) fn after(now: u64, wait: Duration) -> u64 {
    let wait = u64::try_from(wait.as_nanos()).unwrap_or(VALUE);
    now.saturating_add(wait).min(VALUE)
}
