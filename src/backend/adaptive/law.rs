//! The laws: from one state and one sample to the next state. No clock, no memory, no chance.

use super::word::{LONGEST, Latency, ONE, Phase, State};
use super::{AdaptiveLimit, Law};
use crate::backend::{Failure, Outcome};

/// What a finished request says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    /// In nanoseconds; none for an overload.
    latency: Option<f32>,
    /// Requests in flight when it ended, itself included.
    in_flight: u32,
}

/// Netflix's windows have as many at least.
const SHORTEST: u32 = 10;

/// After so many samples the mean of a round begins to forget the first.
const MEMORY: u32 = 16;

impl Sample {
    /// None for what says nothing about load.
    #[inline]
    pub(super) fn new(
        settings: &AdaptiveLimit,
        latency: u64,
        in_flight: u32,
        outcome: Outcome,
    ) -> Option<Self> {
        let overload = match outcome {
            Outcome::Success => match settings.law {
                Law::Gradient { .. } => false,
                Law::Aimd { latency_limit } => latency > latency_limit,
            },
            Outcome::Rejected | Outcome::Failure(Failure::Timeout | Failure::Gateway) => true,
            Outcome::Failure(_) | Outcome::Cancelled => return None,
        };
        Some(Self {
            latency: (!overload).then_some(latency as f32),
            in_flight,
        })
    }
}

impl State {
    pub(super) fn new(settings: &AdaptiveLimit) -> Self {
        let first = Self {
            limit: settings.initial * ONE,
            seen: 0,
            long: Latency::NONE,
            short: Latency::NONE,
            // The first to come back are the fastest, not the usual: the next round tells.
            phase: Phase::drain(0),
            held: false,
            busy: false,
        };
        first.bounded(settings)
    }

    #[inline]
    pub(super) fn after(self, settings: &AdaptiveLimit, sample: Sample) -> Self {
        let mut next = self.bounded(settings);
        next.seen += 1;
        next.busy |= sample.in_flight.saturating_mul(2 * ONE) >= next.in_force();
        match sample.latency {
            Some(latency) => next.mix_in(latency),
            None if next.held => {}
            None => return next.back_off(settings),
        }
        if next.seen < next.round(settings) {
            return next;
        }
        next.end_round(settings)
    }

    /// Brought into the bounds, which may be others than they were; so may the law.
    #[inline]
    pub(super) fn bounded(mut self, settings: &AdaptiveLimit) -> Self {
        let (min, max) = (settings.min * ONE, settings.max * ONE);
        self.limit = self.limit.clamp(min, max);
        let measures = matches!(settings.law, Law::Gradient { .. });
        if self.in_force() < min || !measures {
            self.phase = Phase::SURE;
        }
        self
    }

    fn mix_in(&mut self, latency: f32) {
        let mean = match self.short.get() {
            Some(mean) => mean + (latency - mean) / self.seen.min(MEMORY) as f32,
            None => latency,
        };
        self.short = Latency::new(mean);
    }

    /// How many samples this round has: all that can have been in flight when it began.
    #[inline]
    fn round(self, settings: &AdaptiveLimit) -> u32 {
        let limit = if self.held {
            (self.limit as f32 / settings.backoff) as u32
        } else if self.phase.is_draining() {
            self.limit
        } else {
            self.in_force()
        };
        limit.div_ceil(ONE).clamp(SHORTEST, LONGEST)
    }

    #[cold]
    fn back_off(self, settings: &AdaptiveLimit) -> Self {
        let next = Self {
            // Rounded down, so that it is always less.
            limit: (self.limit as f32 * settings.backoff) as u32,
            phase: Phase::SURE,
            ..self
        };
        next.begin_round(true).bounded(settings)
    }

    #[cold]
    fn end_round(self, settings: &AdaptiveLimit) -> Self {
        let mut next = self;
        match settings.law {
            Law::Gradient {
                tolerance,
                smoothing,
            } => {
                if let Some(short) = self.short.get() {
                    next.follow(settings, short, tolerance, smoothing);
                }
            }
            Law::Aimd { .. } if self.busy && !self.held => next.limit += ONE,
            Law::Aimd { .. } => {}
        }
        next.begin_round(false).bounded(settings)
    }

    fn begin_round(self, held: bool) -> Self {
        Self {
            seen: 0,
            short: Latency::NONE,
            held,
            busy: false,
            ..self
        }
    }

    /// One step of the gradient, or of the measurement that it needs.
    fn follow(&mut self, settings: &AdaptiveLimit, short: f32, tolerance: f32, smoothing: f32) {
        if self.phase.is_draining() {
            self.phase = self.phase.measure();
            return;
        }
        let long = self.long.get().unwrap_or(short);
        let towards = |part: f32| Latency::new(long + (short - long) * part);
        if self.long == Latency::NONE {
            self.long = Latency::new(short);
            self.phase = Phase::SURE;
        } else if self.phase.is_measuring() {
            self.long = towards(0.5);
            self.phase = Phase::SURE;
        } else if !self.busy {
            self.long = towards(0.2);
            self.phase = Phase::SURE;
        } else if !self.held {
            if long > 2.0 * short {
                self.long = Latency::new(long * 0.9);
            }
            let limit = self.limit as f32 / ONE as f32;
            let gradient = (tolerance * long / short).clamp(0.5, 1.0);
            let new = limit * gradient + limit.sqrt();
            let limit = limit + (new - limit) * smoothing;
            self.limit = (limit * ONE as f32).round() as u32;
            // At the largest limit a latency that is too long to be right would never be noticed.
            if short > 1.05 * long || self.limit >= settings.max * ONE {
                self.doubt(settings, tolerance);
            }
        }
    }

    /// A round that was slower than one without a queue should be, if `long` is that, or that says
    /// nothing about it.
    fn doubt(&mut self, settings: &AdaptiveLimit, tolerance: f32) {
        if let Some(phase) = self.phase.doubt() {
            self.phase = phase;
            return;
        }
        // The limit settles near tolerance × what the backend can take: half of that has no queue.
        let wanted = (2.0 * tolerance).log2().ceil() as u32;
        let min = settings.min * ONE;
        let shift = (1..=wanted.min(Phase::DEEPEST))
            .rev()
            .find(|shift| self.limit >> shift >= min);
        if shift.is_none() {
            // Too near to the least for a division; it soon grows back.
            self.limit = min;
        }
        self.phase = Phase::drain(shift.unwrap_or(0));
    }
}
