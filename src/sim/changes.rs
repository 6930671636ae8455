use std::ops::RangeInclusive;
use std::time::Duration;

use super::check::{positive, share, speed, within};
use crate::InvalidSetting;

/// A moment of a run: so long after its start, or after a share of its expected length.
///
/// Settings take either a [`Duration`] or a number from 0 to 1, whichever is at hand. By shares, a
/// scenario stays the same at another load and with more requests.
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use evenkeel::sim::Scenario;
///
/// let scenario = Scenario::builder(10)
///     .step(0.5, [3], 0.1) // half-way, server 3 becomes ten times slower
///     .leave(Duration::from_secs(60), [7])
///     .build()?;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[must_use]
pub struct When(Moment);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Moment {
    After(Duration),
    Share(f64),
}

impl When {
    /// In nanoseconds, for a run that is expected to take so many.
    pub(super) fn at(self, length: f64) -> u64 {
        match self.0 {
            Moment::After(time) => time.as_nanos() as u64,
            Moment::Share(share) => (share * length) as u64,
        }
    }

    fn check(self) -> Result<(), InvalidSetting> {
        match self.0 {
            // A time of zero is one, too.
            Moment::After(time) => positive("moment", time.max(Duration::from_micros(1))),
            Moment::Share(value) => share("moment, as a share of the run,", value),
        }
    }
}

impl From<Duration> for When {
    fn from(time: Duration) -> Self {
        Self(Moment::After(time))
    }
}

impl From<f64> for When {
    fn from(share: f64) -> Self {
        Self(Moment::Share(share))
    }
}

/// Something that changes at a moment, for some of the servers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) when: When,
    pub(super) servers: Vec<usize>,
    pub(super) to: To,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum To {
    Speed(f64),
    Hanging(bool),
    Failing(f64),
    Joined,
    Left,
}

impl Change {
    pub(super) fn check(&self, servers: usize) -> Result<(), InvalidSetting> {
        self.when.check()?;
        if let Some(server) = self.servers.iter().find(|&&server| server >= servers) {
            let expected = "one below the number of servers";
            return Err(InvalidSetting::new("server", server, expected));
        }
        match self.to {
            To::Speed(value) => speed(value),
            To::Failing(value) => share("share of failures", value),
            To::Hanging(_) | To::Joined | To::Left => Ok(()),
        }
    }
}

/// Capacities that are drawn anew now and then: what is left for a server by whoever else runs on
/// its machine.
///
/// The capacity of a server that [shares itself](super::Discipline::ProcessorSharing) is how many
/// of its slots it really has, as a share, below or above 1; that of one that works in order is a
/// factor of its speed.
///
/// # Examples
///
/// The capacities by which Prequal was tested: a few servers have less than was promised to them,
/// most have more.
///
/// ```
/// use std::time::Duration;
/// use evenkeel::sim::Capacities;
///
/// let capacities = Capacities::redrawn(Duration::from_secs(2))
///     .range(0.15, 0.40..=0.75)
///     .range(0.85, 1.0..=2.2);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Capacities {
    pub(super) every: Duration,
    pieces: Vec<(f64, RangeInclusive<f64>)>,
}

impl Capacities {
    /// Each server draws a capacity at the start, and again after times of this mean, by the
    /// exponential law. With no range to draw from, all have 1.
    pub fn redrawn(every: Duration) -> Self {
        Self {
            every,
            pieces: Vec::new(),
        }
    }

    /// Adds a range, evenly drawn from, and how often it is, relative to the others.
    pub fn range(mut self, often: f64, range: RangeInclusive<f64>) -> Self {
        self.pieces.push((often, range));
        self
    }

    pub(super) fn check(&self) -> Result<(), InvalidSetting> {
        positive("time between capacities", self.every)?;
        for (often, range) in &self.pieces {
            let expected = "above 0, and up to 1,000,000";
            within(
                "weight of a range of capacities",
                *often,
                1e-6,
                1e6,
                expected,
            )?;
            let expected = "0.001 to 1000";
            within("capacity", *range.start(), 0.001, 1000.0, expected)?;
            let expected = "what the range begins with, to 1000";
            within("capacity", *range.end(), *range.start(), 1000.0, expected)?;
        }
        Ok(())
    }

    pub(super) fn draw(&self, random: &mut fastrand::Rng) -> f64 {
        let total: f64 = self.pieces.iter().map(|(often, _)| often).sum();
        let mut left = random.f64() * total;
        let piece = self.pieces.iter().find(|(often, _)| {
            left -= often;
            left < 0.0
        });
        // Rounding can leave a rest.
        let Some((_, range)) = piece.or(self.pieces.last()) else {
            return 1.0;
        };
        range.start() + (range.end() - range.start()) * random.f64()
    }
}
