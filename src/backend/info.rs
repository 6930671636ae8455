use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Handle, Settings};

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
    pub(crate) in_flight: usize,
    pub(crate) latency: Option<Duration>,
}

/// Whether a backend can be picked, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum State {
    /// It can be picked.
    Eligible,
    /// An operator drains it: no new requests, running ones finish.
    Draining,
    /// Its weight is 0: no new requests, running ones finish.
    ZeroWeight,
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

    /// Returns whether it can be picked, and why not.
    pub fn state(&self) -> State {
        self.state
    }

    /// Returns how many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the latency to expect, if it was ever measured.
    pub fn latency(&self) -> Option<Duration> {
        self.latency
    }
}

impl fmt::Display for BackendInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {}, weight {}, {} in flight",
            self.id, self.state, self.settings.weight, self.in_flight
        )?;
        if let Some(latency) = self.latency {
            write!(f, ", latency {latency:.1?}")?;
        }
        Ok(())
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Eligible => "eligible",
            Self::Draining => "draining",
            Self::ZeroWeight => "weight 0",
        })
    }
}
