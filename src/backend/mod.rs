//! One member of a pool: who it is, what it was told, what its traffic shows.
//!
//! [`Backend`] is what you hand to a [`Pool`](crate::Pool): an id that stays the same for as long
//! as the member does, a value (a service, an address, anything), and settings. From then on the
//! pool keeps the live part for it: requests in flight, latency, state. [`BackendInfo`] is a look
//! at all of that at one moment.

mod adaptive;
mod alarms;
mod completion;
mod condition;
mod drained;
mod gate;
mod handle;
mod hint;
mod histogram;
mod info;
mod latencies;
mod latency;
mod level;
#[cfg_attr(
    not(feature = "tower"),
    allow(dead_code, reason = "its users are services")
)]
mod line;
mod live;
#[cfg(all(test, evenkeel_loom))]
mod loom_tests;
mod notes;
mod observation;
mod outcome;
mod record;
mod room;
mod total;
mod traffic;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

pub(crate) use self::adaptive::Adaptive;
pub use self::adaptive::AdaptiveLimit;
pub(crate) use self::alarms::Alarms;
pub use self::completion::Completion;
pub(crate) use self::completion::Watch;
pub use self::condition::Why;
pub(crate) use self::condition::{Condition, Ejected, Hold, Probed};
pub use self::drained::Drained;
#[cfg(feature = "tower")]
pub(crate) use self::gate::Trial;
pub(crate) use self::gate::{Guard, Phase, after};
pub use self::handle::Handle;
pub use self::hint::Hint;
pub use self::info::{BackendInfo, Counts, State};
pub use self::latencies::Latencies;
pub use self::latency::LatencySettings;
pub(crate) use self::level::{Levels, PIECE, Pieces, Place, TOP, WORD};
pub(crate) use self::line::Line;
#[cfg(feature = "tower")]
pub(crate) use self::line::Place as PlaceInLine;
pub(crate) use self::live::{Live, Recording};
pub(crate) use self::observation::Listener;
pub use self::observation::{Event, Observation};
pub use self::outcome::{Failure, Outcome};
pub(crate) use self::record::{Record, Wants};
pub(crate) use self::room::{Lines, MaxInFlight};
pub(crate) use self::total::Total;

/// One member of a [`Pool`](crate::Pool): an id, a value, and settings.
///
/// The value is what answers a request: a tower service, an
/// [`Address`](crate::http::Address), or anything else if you balance without tower.
///
/// The id is the backend's identity. Inserting a backend whose id is already in the pool replaces
/// its value and settings and keeps everything that was learnt about it: requests in flight,
/// latency, drain.
///
/// # Examples
///
/// ```
/// use evenkeel::Backend;
///
/// let backend = Backend::new("cache-1", "10.0.0.1:6379")
///     .weight(3)
///     .zone("eu-west-1a")
///     .metadata("rack", "r7");
/// assert_eq!(backend.id(), "cache-1");
/// ```
#[derive(Clone)]
#[must_use]
pub struct Backend<T> {
    pub(crate) id: Arc<str>,
    pub(crate) value: T,
    pub(crate) settings: Settings,
}

/// What a backend's value has to be to serve many threads: `Clone + Send + Sync + 'static`.
///
/// One clone is made for each attempt. hyper-util's client, reqwest's, tonic's channels, axum's
/// routers and tower's `BoxCloneSyncService` all qualify. Implemented for whatever qualifies; there
/// is nothing to write.
///
/// # Examples
///
/// ```
/// fn check<V: evenkeel::backend::Value>(_value: V) {}
/// check("10.0.0.1:80".to_owned());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a backend",
    label = "this is not `Clone + Send + Sync + 'static`",
    note = "a service that is not `Clone` can go behind `tower::buffer::Buffer`",
    note = "one that is not `Sync` can be boxed as `tower::util::BoxCloneSyncService`, if what is inside is, or go behind a `Buffer` too"
)]
pub trait Value: Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> Value for T {}

/// What an operator or a discovery source says about a backend.
///
/// Kept small, since every pick reads past it: what pickers rarely want is behind a pointer, and
/// absent while it is all defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) weight: u32,
    labels: Option<Arc<Labels>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Labels {
    priority: u32,
    zone: Option<Arc<str>>,
    hash_key: Option<Arc<str>>,
    max_in_flight: Option<u32>,
    hint: Hint,
    metadata: BTreeMap<String, String>,
}

impl<T> Backend<T> {
    /// Creates a backend with weight 1, priority 0, no zone and no metadata.
    pub fn new(id: impl Into<Arc<str>>, value: T) -> Self {
        Self {
            id: id.into(),
            value,
            settings: Settings::default(),
        }
    }

    /// Sets the weight: its share of the requests relative to the others. Default 1.
    ///
    /// Any `u32` is allowed. A backend of weight 0 gets no new requests, as if it were drained;
    /// when all backends have weight 0, none is eligible and the error says so.
    pub fn weight(mut self, weight: u32) -> Self {
        self.settings.weight = weight;
        self
    }

    /// Sets the priority, the failover tier: 0, the default, is used first.
    ///
    /// The next tier gets requests as the healthy backends of those before become too few; see
    /// [`Rules::overprovisioning`](crate::set::Rules::overprovisioning).
    pub fn priority(mut self, priority: u32) -> Self {
        self.settings.label(|labels| labels.priority = priority);
        self
    }

    /// Sets the zone, the locality it runs in.
    ///
    /// A pool that knows its own zone prefers the backends there; see
    /// [`Rules::local_zone`](crate::set::Rules::local_zone).
    pub fn zone(mut self, zone: impl Into<Arc<str>>) -> Self {
        let zone = Some(zone.into());
        self.settings.label(|labels| labels.zone = zone);
        self
    }

    /// Sets the name under which [hash pickers](crate::picker::hash) place it. Default: its id.
    ///
    /// A machine that replaces another under the same hash key inherits its keys. While both are
    /// members, the one that joined first has them, and the other takes over as soon as that one
    /// cannot be picked.
    pub fn hash_key(mut self, key: impl Into<Arc<str>>) -> Self {
        let key = Some(key.into());
        self.settings.label(|labels| labels.hash_key = key);
        self
    }

    /// Sets how many requests it takes at once, all balances over the pool together. Default: what
    /// the pool's [`Limits`](crate::set::Limits) say.
    ///
    /// A request is in flight until its response has ended. A backend that is full is passed over;
    /// when all are, requests [wait](crate::set::Limits::queue). With 0 it takes none.
    pub fn max_in_flight(mut self, max: u32) -> Self {
        self.settings
            .label(|labels| labels.max_in_flight = Some(max));
        self
    }

    /// Sets what its source says of its health. Default: [`Hint::Healthy`].
    pub fn hint(mut self, hint: Hint) -> Self {
        self.settings.label(|labels| labels.hint = hint);
        self
    }

    /// Adds one entry of metadata, for pickers and for people.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.settings.label(|labels| {
            labels.metadata.insert(key, value);
        });
        self
    }

    /// The same with another value.
    #[cfg(feature = "tower")]
    pub(crate) fn with_value<U>(self, value: U) -> Backend<U> {
        Backend {
            id: self.id,
            value,
            settings: self.settings,
        }
    }

    /// Returns the id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the value.
    pub fn value(&self) -> &T {
        &self.value
    }
}

impl Settings {
    pub(crate) fn priority(&self) -> u32 {
        self.labels.as_ref().map_or(0, |labels| labels.priority)
    }

    pub(crate) fn zone(&self) -> Option<&str> {
        self.labels.as_ref()?.zone.as_deref()
    }

    pub(crate) fn hash_key(&self) -> Option<&str> {
        self.labels.as_ref()?.hash_key.as_deref()
    }

    pub(crate) fn max_in_flight(&self) -> Option<u32> {
        self.labels.as_ref()?.max_in_flight
    }

    pub(crate) fn hint(&self) -> Hint {
        self.labels
            .as_ref()
            .map_or(Hint::Healthy, |labels| labels.hint)
    }

    pub(crate) fn metadata(&self, key: &str) -> Option<&str> {
        let metadata = &self.labels.as_ref()?.metadata;
        metadata.get(key).map(String::as_str)
    }

    #[cfg_attr(not(feature = "serde"), allow(dead_code, reason = "it is serialised"))]
    pub(crate) fn all_metadata(&self) -> Option<&BTreeMap<String, String>> {
        Some(&self.labels.as_ref()?.metadata)
    }

    fn label(&mut self, change: impl FnOnce(&mut Labels)) {
        // It is nobody else's in a backend that is being built: many entries of metadata cost no copies.
        let mut labels = self
            .labels
            .take()
            .map_or_else(Labels::default, Arc::unwrap_or_clone);
        change(&mut labels);
        self.labels = (labels != Labels::default()).then(|| Arc::new(labels));
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            weight: 1,
            labels: None,
        }
    }
}

impl<T> fmt::Debug for Backend<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend")
            .field("id", &self.id)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
