use std::sync::Arc;
use std::time::Duration;

use super::{Live, Outcome};
use crate::sync::{AtomicU64, Ordering};

/// What a request that was picked for a backend has to get past, if anything.
///
/// ```text
///        ramp(since)              restrain(until)
/// Open ─────────────> Ramping ──────────────────────> Restrained ── until ──> Ramping, since then
///  │
///  └─ trial(epoch) ─> Free ── take ──> Taken ── a good head ──> Answered
///                      ^                 │  │                      │ ended, or given up
///                      └─── given up ────┘  └─ success ─> Passed <─┘
///                                           └─ failure ─> Failed <── failure ── Answered
/// ```
///
/// The pool's writer, one at a time, opens it, ramps, restrains, and offers a trial; requests take
/// a trial and end it, by compare-and-swap from the very word that they took it with, so that what
/// belongs to a trial of the past changes nothing. One word, so `Relaxed`: nothing else is
/// published with it.
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
        epoch: u32,
        phase: Phase,
    },
}

/// How far the one request has got that may show that a backend is well again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Free,
    Taken,
    /// With a good head.
    Answered,
    Passed,
    Failed,
}

/// The right to be that request. Dropping it, without a word on how it ended, hands it back.
#[derive(Debug)]
pub(crate) struct Trial {
    live: Arc<Live>,
    epoch: u32,
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
        self.0.store(guard.word(), Ordering::Relaxed);
    }

    fn step(&self, epoch: u32, from: Phase, to: Phase) -> bool {
        let word = |phase| Guard::Trial { epoch, phase }.word();
        let (from, to) = (word(from), word(to));
        let step = self
            .0
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        step.is_ok()
    }
}

impl Trial {
    /// Takes the trial, if there is one and nobody else has it.
    pub(crate) fn take(live: &Arc<Live>, epoch: u32) -> Option<Box<Self>> {
        let taken = live.gate().step(epoch, Phase::Free, Phase::Taken);
        taken.then(|| {
            Box::new(Self {
                live: Arc::clone(live),
                epoch,
            })
        })
    }

    /// A good head has arrived.
    pub(crate) fn answered(&self) {
        self.step(Phase::Taken, Phase::Answered);
    }

    pub(crate) fn end(self: Box<Self>, outcome: Outcome) {
        let phase = match outcome {
            Outcome::Success => Phase::Passed,
            Outcome::Failure(_) => Phase::Failed,
            // It is dropped.
            Outcome::Rejected | Outcome::Cancelled => return,
        };
        if self.step(Phase::Taken, phase) || self.step(Phase::Answered, phase) {
            self.live.trial_has_ended();
        }
    }

    fn step(&self, from: Phase, to: Phase) -> bool {
        self.live.gate().step(self.epoch, from, to)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        // Whoever read a good head and lost interest has seen enough.
        if self.step(Phase::Answered, Phase::Passed) {
            self.live.trial_has_ended();
        } else {
            self.step(Phase::Taken, Phase::Free);
        }
    }
}

impl Guard {
    fn word(self) -> u64 {
        let (kind, value) = match self {
            Self::Open => (0, 0),
            Self::Ramping { since } => (1, since),
            Self::Restrained { until } => (2, until),
            Self::Trial { epoch, phase } => (3, u64::from(epoch) << 8 | phase as u64),
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
                epoch: (value >> 8) as u32,
                phase: match value & 0xff {
                    0 => Phase::Free,
                    1 => Phase::Taken,
                    2 => Phase::Answered,
                    3 => Phase::Passed,
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
