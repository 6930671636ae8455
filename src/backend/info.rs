use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Failure, Handle, Latencies, Settings, Why};
use crate::time::now;

/// A look at one backend of a pool at one moment, from [`Pool::list`](crate::Pool::list).
///
/// # Examples
///
/// ```
/// use evenkeel::{Backend, Pool};
///
/// let pool = Pool::from([Backend::new("a", ()).weight(2)]);
/// let info = &pool.list()[0];
/// assert_eq!((info.id(), info.weight(), info.in_flight()), ("a", 2, 0));
/// println!("{info}");
/// ```
#[derive(Clone, Debug)]
pub struct BackendInfo {
    pub(crate) id: Arc<str>,
    pub(crate) handle: Handle,
    pub(crate) settings: Settings,
    pub(crate) state: State,
    pub(crate) eligible: bool,
    pub(crate) since: Instant,
    pub(crate) why: Option<Arc<Why>>,
    pub(crate) until: Option<Instant>,
    pub(crate) share: f64,
    pub(crate) counts: Counts,
    pub(crate) in_flight: usize,
    pub(crate) max_in_flight: Option<u32>,
    pub(crate) latency: Option<Duration>,
    pub(crate) latencies: Option<Latencies>,
}

/// What is thought of a backend.
///
/// Healthy and forced up are used first, degraded when those do not suffice, and one on trial gets
/// one request at a time. The others are not used, except that a pool
/// [in panic](crate::set::Rules::panic_threshold) takes back what its health took out:
/// [`BackendInfo::is_eligible`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// Nothing speaks against it.
    Healthy,
    /// An operator says that it is healthy, whatever anything shows.
    ForcedUp,
    /// A probe, its own responses or its source say that it is to be used after the healthy.
    Degraded,
    /// It was ejected, and that time is over: one request at a time may show that it is well.
    Trial,
    /// It is new, and has to pass a probe first.
    Unchecked,
    /// It fails its probes, or its source says so.
    Unhealthy,
    /// Its traffic took it out for a while.
    Ejected,
    /// An operator or its source drains it: no new requests, running ones finish.
    Draining,
    /// An operator took it out.
    ForcedDown,
    /// Its weight is 0: no new requests, running ones finish.
    ZeroWeight,
}

/// How many of a backend's requests ended in which way, since its health is
/// [watched](crate::health) or its [traffic recorded](crate::Pool::record_traffic).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub(crate) successes: u64,
    /// By kind, in the order of [`Failure::ALL`].
    pub(crate) failures: [u64; Failure::ALL.len()],
    pub(crate) rejected: u64,
    pub(crate) cancelled: u64,
}

impl BackendInfo {
    /// Returns the id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the handle of this membership.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// Returns the weight.
    pub fn weight(&self) -> u32 {
        self.settings.weight
    }

    /// Returns the priority; 0 is the first tier.
    pub fn priority(&self) -> u32 {
        self.settings.priority()
    }

    /// Returns the zone.
    pub fn zone(&self) -> Option<&str> {
        self.settings.zone()
    }

    /// Returns the name under which hash pickers place it: its id, unless another was set.
    pub fn hash_key(&self) -> &str {
        self.settings.hash_key().unwrap_or(&self.id)
    }

    /// Returns one entry of the metadata.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.settings.metadata(key)
    }

    /// Returns what is thought of it.
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns whether it can be picked now, if its tier and zone get requests at all.
    pub fn is_eligible(&self) -> bool {
        self.eligible
    }

    /// Returns since when it is in this state, by the clock that tokio's
    /// `Instant::now().into_std()` reads, which tests can pause.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Returns why it is in this state, if that is more than an operator's order.
    pub fn why(&self) -> Option<&Why> {
        self.why.as_deref()
    }

    /// Returns until when it is in this state, if that is known: for an ejection.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Returns which part of a full share of the requests it gets, from 0 to 1: less than 1 while
    /// it [starts slowly](crate::set::SlowStart) or has asked to be spared, 0 if it is not
    /// [eligible](Self::is_eligible).
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Returns how its requests ended. All zero unless its health is [watched](crate::health) or its
    /// [traffic recorded](crate::Pool::record_traffic).
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Returns how many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns how many requests it takes at once, if there is a [limit](crate::set::Limits); if it
    /// adapts, what it is now.
    pub fn max_in_flight(&self) -> Option<usize> {
        self.max_in_flight.map(|max| max as usize)
    }

    /// Returns the latency to expect, if it was ever measured.
    pub fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// Returns how long its requests took lately, if its pool's
    /// [traffic is recorded](crate::Pool::record_traffic).
    pub fn latencies(&self) -> Option<&Latencies> {
        self.latencies.as_ref()
    }

    /// Returns the latency that a part of its requests, from 0 to 1, did not exceed lately; see
    /// [`Latencies::percentile`].
    pub fn latency_percentile(&self, part: f64) -> Option<Duration> {
        self.latencies.as_ref()?.percentile(part)
    }
}

impl Counts {
    /// Returns how many were answered.
    pub fn successes(self) -> u64 {
        self.successes
    }

    /// Returns how many failed.
    pub fn failures(self) -> u64 {
        self.failures.iter().sum()
    }

    /// Returns how many failed in this way.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::backend::{Failure, Outcome};
    /// use evenkeel::{Backend, Pool};
    ///
    /// let pool = Pool::from([Backend::new("a", ())]);
    /// pool.record_traffic();
    /// let (_, completion) = pool.start(|_| Some(0)).expect("a is eligible");
    /// completion.finish(Outcome::Failure(Failure::Connect));
    ///
    /// let counts = pool.get("a").unwrap().counts();
    /// assert_eq!(counts.failures_of(Failure::Connect), 1);
    /// assert_eq!(counts.failures_of(Failure::Timeout), 0);
    /// ```
    pub fn failures_of(self, failure: Failure) -> u64 {
        self.failures[failure.place()]
    }

    /// Returns each kind of failure and how many there were of it.
    pub fn failures_by_kind(self) -> impl Iterator<Item = (Failure, u64)> {
        Failure::ALL.into_iter().zip(self.failures)
    }

    /// Returns how many it refused to protect itself.
    pub fn rejected(self) -> u64 {
        self.rejected
    }

    /// Returns how many were given up before their end.
    pub fn cancelled(self) -> u64 {
        self.cancelled
    }

    /// Returns how many have ended.
    pub fn total(self) -> u64 {
        self.successes + self.failures() + self.rejected + self.cancelled
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.successes += other.successes;
        self.rejected += other.rejected;
        self.cancelled += other.cancelled;
        for (own, other) in self.failures.iter_mut().zip(other.failures) {
            *own += other;
        }
    }
}

impl State {
    /// In the order in which they are declared: the best first.
    pub(crate) const ALL: [Self; 10] = [
        Self::Healthy,
        Self::ForcedUp,
        Self::Degraded,
        Self::Trial,
        Self::Unchecked,
        Self::Unhealthy,
        Self::Ejected,
        Self::Draining,
        Self::ForcedDown,
        Self::ZeroWeight,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::ForcedUp => "forced up",
            Self::Trial => "on trial",
            Self::Unchecked => "unchecked",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
            Self::Draining => "draining",
            Self::ForcedDown => "forced down",
            Self::ZeroWeight => "weight 0",
        }
    }

    /// Whether it takes requests without having to prove anything.
    pub(crate) fn is_in_use(self) -> bool {
        matches!(self, Self::Healthy | Self::ForcedUp | Self::Degraded)
    }
}

impl fmt::Display for BackendInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.id, self.state)?;
        if let Some(until) = self.until {
            let left = until.saturating_duration_since(now());
            write!(f, " for {:.1} s", left.as_secs_f64())?;
        }
        if let Some(why) = &self.why {
            write!(f, " ({why})")?;
        }
        write!(f, ", weight {}, {}", self.settings.weight, self.in_flight)?;
        if let Some(max) = self.max_in_flight {
            write!(f, " of {max}")?;
        }
        f.write_str(" in flight")?;
        if self.eligible && self.share < 1.0 {
            write!(f, ", at {:.0} %", self.share * 100.0)?;
        }
        if let Some(latency) = self.latency {
            write!(f, ", latency {latency:.1?}")?;
        }
        Ok(())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
