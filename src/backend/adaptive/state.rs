use super::AdaptiveLimit;
use super::law::Sample;
use super::word::{ONE, State};
use crate::backend::Outcome;
use crate::sync::{AtomicU64, Ordering};

/// The limit of one backend: a [`State`] in one word, so that nobody sees half of a change.
///
/// `Relaxed` is enough because nothing else is published with it. It has no clock, and no settings:
/// those are passed in, and may be others each time.
#[derive(Debug)]
pub(crate) struct Adaptive(AtomicU64);

impl Adaptive {
    pub(crate) fn new(settings: &AdaptiveLimit) -> Self {
        Self(AtomicU64::new(State::new(settings).word()))
    }

    /// How many requests may be in flight.
    #[inline]
    pub(crate) fn limit(&self) -> u32 {
        State::of(self.0.load(Ordering::Relaxed)).in_force() / ONE
    }

    /// Takes one request's end into account. `latency` is in nanoseconds; `in_flight` are the
    /// requests that were in flight when it ended, itself included.
    #[inline]
    pub(crate) fn sample(
        &self,
        settings: &AdaptiveLimit,
        latency: u64,
        in_flight: u32,
        outcome: Outcome,
    ) {
        if let Some(sample) = Sample::new(settings, latency, in_flight, outcome) {
            self.change(|state| state.after(settings, sample));
        }
    }

    /// Brings the limit into the bounds of new settings, before the next sample does.
    pub(crate) fn bound(&self, settings: &AdaptiveLimit) {
        self.change(|state| state.bounded(settings));
    }

    #[cfg(test)]
    pub(crate) fn state(&self) -> State {
        State::of(self.0.load(Ordering::Relaxed))
    }

    #[inline]
    fn change(&self, step: impl Fn(State) -> State) {
        let mut word = self.0.load(Ordering::Relaxed);
        loop {
            let next = step(State::of(word)).word();
            match self
                .0
                .compare_exchange_weak(word, next, Ordering::Relaxed, Ordering::Relaxed)
            {
                Ok(_) => return,
                Err(seen) => word = seen,
            }
        }
    }
}
