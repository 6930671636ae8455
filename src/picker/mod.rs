//! Algorithms that choose a backend, and the trait to write your own.
//!
//! # Which one to use
//!
//! | when | use |
//! | --- | --- |
//! | requests differ, and this program sends most of the traffic: the usual case | [`LeastRequests`] |
//! | an even load matters more than nanoseconds | [`ExactLeastRequests`] |
//! | backends differ in speed, slow down at times, or can fail | [`LeastResponseTime`] |
//! | requests cost much the same and backends are alike | [`RoundRobin`] |
//! | backends are of different sizes | [`WeightedRoundRobin`], or any of the above with weights |
//! | several programs use the same backends, or you do not know | [`Adaptive`] |
//! | the same, as published: by probes; by reports of load | [`Prequal`]; [`C3`] |
//! | the backends' utilization has to be even, as they report it | [`ReportedWeightedRoundRobin`] |
//! | no shared state at all, statistics are enough | [`Random`], [`WeightedRandom`] |
//! | use the first until it is full, keep the others in reserve | [`Ordered`] |
//! | the same key should go to the same backend: caches, sessions, shards | [`hash::Keyed`] |
//!
//! [`Algorithm`] chooses among them at run time, by name. The guide's page on choosing says what each
//! goes by, with measurements of many clients, and how to switch reports and probes on.
//!
//! # Your own
//!
//! One method, or a closure:
//!
//! ```
//! use evenkeel::BackendSet;
//! use evenkeel::picker::{Context, Picker};
//!
//! /// Prefers backends in the request's own zone.
//! struct SameZone;
//!
//! struct Request {
//!     zone: String,
//! }
//!
//! impl Picker<Request> for SameZone {
//!     fn pick(&self, set: &dyn BackendSet, request: &Request, cx: &mut Context) -> Option<usize> {
//!         let near: Vec<usize> = (0..set.len())
//!             .filter(|&rank| set.zone(rank) == Some(&request.zone))
//!             .collect();
//!         match near.len() {
//!             0 => Some(cx.random_below(set.len())),
//!             n => Some(near[cx.random_below(n)]),
//!         }
//!     }
//! }
//! ```

mod adaptive;
mod algorithm;
mod by_backend;
mod c3;
mod context;
mod cycle;
mod exact_least_requests;
pub mod hash;
mod least_requests;
mod least_response_time;
mod no_backend;
mod ordered;
mod prequal;
mod random;
mod reported_weighted_round_robin;
mod round_robin;
mod sample;
mod selector;
mod update;
mod view;
mod weighted_random;
mod weighted_round_robin;

use std::sync::Arc;

pub use self::adaptive::Adaptive;
pub use self::algorithm::{Algorithm, UnknownAlgorithm};
pub use self::c3::C3;
pub use self::context::Context;
pub use self::exact_least_requests::ExactLeastRequests;
pub use self::least_requests::LeastRequests;
pub use self::least_response_time::LeastResponseTime;
pub use self::no_backend::NoBackend;
#[cfg(feature = "tower")]
pub(crate) use self::no_backend::{NAMED, and_more};
pub use self::ordered::Ordered;
pub use self::prequal::Prequal;
pub use self::random::Random;
pub use self::reported_weighted_round_robin::ReportedWeightedRoundRobin;
pub use self::round_robin::RoundRobin;
pub use self::selector::Selector;
#[cfg(feature = "tower")]
pub(crate) use self::selector::{Core, OnChange};
pub use self::update::{Needs, Update};
#[cfg(feature = "tower")]
pub(crate) use self::view::Entry;
pub use self::weighted_random::WeightedRandom;
pub use self::weighted_round_robin::WeightedRoundRobin;

use crate::backend::{Handle, Observation};
use crate::set::BackendSet;

/// Chooses one backend of a set for one request.
///
/// One method is enough: [`pick`](Self::pick). It sees the eligible backends only, so drained ones,
/// those of weight 0 and those that this request has tried need no thought. The other methods are
/// optional steps for pickers that build a table or keep what they learn.
///
/// A function or closure of the same shape as `pick` is a picker too; write out the types of its
/// three arguments. [Everything is recorded](Self::needs) for it, and it cannot be
/// [prepared](Self::prepare): one that uses other pickers is better a type of its own, which passes
/// that on.
///
/// # Rules
///
/// A picker is shared by all threads and called for each request: its own state is atomics or a
/// table that was [prepared](Self::prepare). It does not wait, and reads no clock but
/// [`Context::now`].
///
/// # Examples
///
/// ```
/// use evenkeel::picker::Context;
/// use evenkeel::{Backend, BackendSet, Picker, Pool};
///
/// let cheapest = |set: &dyn BackendSet, _request: &(), _cx: &mut Context| {
///     (0..set.len()).min_by_key(|&rank| set.metadata(rank, "price").and_then(|p| p.parse::<u32>().ok()))
/// };
///
/// let pool = Pool::from([
///     Backend::new("a", ()).metadata("price", "3"),
///     Backend::new("b", ()).metadata("price", "2"),
/// ]);
/// let picked = pool.start(|set| cheapest.pick(set, &(), &mut Context::new()));
/// assert_eq!(picked.unwrap().1.backend(), "b");
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not pick a backend for a `{Req}`",
    label = "not a picker for this request type",
    note = "implement `Picker<{Req}>`, whose one required method is `pick`, or pass a closure `|set: &dyn BackendSet, request: &{Req}, cx: &mut Context| -> Option<usize>`",
    note = "a `Keyed` is one if its key is a `Key<{Req}>`: is a `?` missing where the key was made?"
)]
pub trait Picker<Req: ?Sized>: Send + Sync {
    /// Returns the rank of the chosen backend, below `set.len()`, or `None` if none will do.
    ///
    /// This crate never asks about an empty set. `None`, or a rank beyond the set, fails the
    /// request with an error that says so.
    fn pick(&self, set: &dyn BackendSet, request: &Req, cx: &mut Context) -> Option<usize>;

    /// Builds what the picker needs to pick fast from a set that has just changed.
    ///
    /// Called for each change that a pool publishes, off the request path, by whoever makes the
    /// change. The picker that is returned takes the place of this one, together with
    /// the set that it was built for. `None`, the default, keeps this one. State that should
    /// survive (a counter, statistics) is shared with the new one through an [`Arc`].
    ///
    /// Without tower, call it yourself after each change; pickers of this crate work without it,
    /// only slower.
    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        let _ = update;
        None
    }

    /// Takes note of what became of a request.
    ///
    /// Called when a request is dispatched, when its response head arrives, and when it ends,
    /// cancellation included. `backend` can belong to a member that has left since.
    ///
    /// A request reports to the picker that picked for it, and keeps it alive. If that one was
    /// [prepared](Self::prepare) and has been replaced since, its successor learns of it only
    /// through what the two share.
    fn observe(&self, backend: Handle, observation: &Observation) {
        let _ = (backend, observation);
    }

    /// Returns a number that is the same for all requests that should go to the same backend, if
    /// there is such a thing. Default: `None`.
    ///
    /// Where chance decides, it then comes from this number: between tiers and zones, and whether a
    /// backend that [starts slowly](crate::set::SlowStart) takes the request. So a key moves once,
    /// and not at each request. It is asked only where there is something to decide.
    fn affinity(&self, request: &Req) -> Option<u64> {
        let _ = request;
        None
    }

    /// Says what has to be recorded for this picker. Default: everything.
    ///
    /// A picker that asks for less makes each request cheaper: see [`Needs`] for the cost. A picker
    /// that wraps others, or is [prepared](Self::prepare) as another, says what those need.
    fn needs(&self) -> Needs {
        Needs::all()
    }

    /// Says in a few words by what it picks, for whoever asks
    /// [why](crate::observe::Explained). Default: "the picker's own rule".
    fn rule(&self) -> &'static str {
        "the picker's own rule"
    }
}

impl<F, Req: ?Sized> Picker<Req> for F
where
    F: Fn(&dyn BackendSet, &Req, &mut Context) -> Option<usize> + Send + Sync,
{
    fn pick(&self, set: &dyn BackendSet, request: &Req, cx: &mut Context) -> Option<usize> {
        self(set, request, cx)
    }
}

/// A picker whose state someone else looks at, too.
impl<P: Picker<Req>, Req: ?Sized> Picker<Req> for Arc<P> {
    fn pick(&self, set: &dyn BackendSet, request: &Req, cx: &mut Context) -> Option<usize> {
        (**self).pick(set, request, cx)
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        (**self).prepare(update)
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        (**self).observe(backend, observation);
    }

    fn affinity(&self, request: &Req) -> Option<u64> {
        (**self).affinity(request)
    }

    fn needs(&self) -> Needs {
        (**self).needs()
    }

    fn rule(&self) -> &'static str {
        (**self).rule()
    }
}

/// A picker that was chosen at run time.
impl<Req: ?Sized + 'static> Picker<Req> for Arc<dyn Picker<Req>> {
    fn pick(&self, set: &dyn BackendSet, request: &Req, cx: &mut Context) -> Option<usize> {
        (**self).pick(set, request, cx)
    }

    /// Sheds the outer `Arc` in any case: from the first set on, nothing is in between.
    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        Some((**self).prepare(update).unwrap_or_else(|| Arc::clone(self)))
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        (**self).observe(backend, observation);
    }

    fn affinity(&self, request: &Req) -> Option<u64> {
        (**self).affinity(request)
    }

    fn needs(&self) -> Needs {
        (**self).needs()
    }

    fn rule(&self) -> &'static str {
        (**self).rule()
    }
}
