use std::num::NonZeroU32;

use super::{Failure, Outcome};

/// What is noted of a request: what is still to be told of it, its outcome if that is known, and
/// which trial of its backend it is, if it is one.
///
/// One word, written and read as one: fields of their own, of a byte each, that are copied as a
/// whole right after they were written make the processor wait, which costs each request 4 ns.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notes(u64);

impl Notes {
    /// Its latency may be recorded.
    pub(super) const MEASURED: u64 = 1;
    /// Its outcome is to be.
    pub(super) const RECORDED: u64 = 2;
    /// Its latency is measured, and its head has not arrived.
    pub(super) const WAITING: u64 = 4;
    /// It is to show whether its backend is well again.
    pub(super) const TRIAL: u64 = 8;
    /// Somebody observes it.
    pub(super) const OBSERVED: u64 = 16;
    /// Its latency is part of its backend's.
    pub(super) const AVERAGED: u64 = 32;
    /// What its end has to see to.
    pub(super) const END: u64 = Self::RECORDED | Self::WAITING | Self::TRIAL | Self::OBSERVED;

    const OUTCOME: u32 = 8;
    const EPOCH: u32 = 32;

    #[inline]
    pub(super) fn new(flags: u64) -> Self {
        Self(flags)
    }

    #[inline]
    pub(super) fn any(self, flags: u64) -> bool {
        self.0 & flags != 0
    }

    #[inline]
    pub(super) fn set(&mut self, flags: u64) {
        self.0 |= flags;
    }

    /// Removes flags; returns whether any of them was set.
    #[inline]
    pub(super) fn take(&mut self, flags: u64) -> bool {
        let any = self.any(flags);
        self.0 &= !flags;
        any
    }

    pub(super) fn set_trial(&mut self, epoch: NonZeroU32) {
        self.0 |= u64::from(epoch.get()) << Self::EPOCH | Self::TRIAL;
    }

    pub(super) fn trial(self) -> Option<NonZeroU32> {
        let epoch = NonZeroU32::new((self.0 >> Self::EPOCH) as u32);
        epoch.filter(|_| self.any(Self::TRIAL))
    }

    /// The first outcome counts.
    #[inline]
    pub(super) fn settle(&mut self, outcome: Outcome) {
        if self.outcome().is_none() {
            self.0 |= code(outcome) << Self::OUTCOME;
        }
    }

    #[inline]
    pub(super) fn outcome(self) -> Option<Outcome> {
        const BYTE: u64 = 0xff;
        Some(match self.0 >> Self::OUTCOME & BYTE {
            0 => return None,
            1 => Outcome::Success,
            2 => Outcome::Rejected,
            3 => Outcome::Cancelled,
            4 => Outcome::Failure(Failure::Connect),
            5 => Outcome::Failure(Failure::Timeout),
            6 => Outcome::Failure(Failure::Gateway),
            7 => Outcome::Failure(Failure::Response),
            8 => Outcome::Failure(Failure::Body),
            _ => Outcome::Failure(Failure::Other),
        })
    }
}

#[inline]
fn code(outcome: Outcome) -> u64 {
    match outcome {
        Outcome::Success => 1,
        Outcome::Rejected => 2,
        Outcome::Cancelled => 3,
        Outcome::Failure(failure) => match failure {
            Failure::Connect => 4,
            Failure::Timeout => 5,
            Failure::Gateway => 6,
            Failure::Response => 7,
            Failure::Body => 8,
            Failure::Other => 9,
        },
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_read_as_it_was_written_and_the_first_counts() {
        let failures = [
            Failure::Connect,
            Failure::Timeout,
            Failure::Gateway,
            Failure::Response,
            Failure::Body,
            Failure::Other,
        ];
        let outcomes = failures.into_iter().map(Outcome::Failure);
        for outcome in outcomes.chain([Outcome::Success, Outcome::Rejected, Outcome::Cancelled]) {
            let mut notes = Notes::new(Notes::END);
            let epoch = NonZeroU32::new(u32::MAX).unwrap();
            notes.set_trial(epoch);
            assert_eq!(notes.outcome(), None);
            notes.settle(outcome);
            notes.settle(Outcome::Success);
            assert_eq!(notes.outcome(), Some(outcome));
            assert_eq!(notes.trial(), Some(epoch));
        }
    }
}
