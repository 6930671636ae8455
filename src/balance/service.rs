use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tower::BoxError;
use tower_service::Service;

use super::probing::Prober;
use super::waits::Waits;
use super::{
    Attempt, Attempts, Direct, Error, OnResponse, ResponseFuture, Route, Shared, Track, share,
};
use crate::backend::{Handle, Value};
use crate::load::{LoadProbes, LoadReport};
use crate::observe::Observer;
use crate::picker::Picker;
use crate::set::{BackendSet, Pool};

/// One constructor for each algorithm, for a type that has `new(pool, picker)`.
macro_rules! short_ways_in {
    ($pool:ty) => {
        crate::balance::short_ways_in! { $pool:
            round_robin RoundRobin,
            weighted_round_robin WeightedRoundRobin,
            random Random,
            weighted_random WeightedRandom,
            least_requests LeastRequests,
            exact_least_requests ExactLeastRequests,
            least_response_time LeastResponseTime,
            ordered Ordered,
            adaptive Adaptive,
            prequal Prequal,
            c3 C3,
            reported_weighted_round_robin ReportedWeightedRoundRobin,
        }
    };
    ($pool:ty: $($name:ident $picker:ident,)+) => {$(
        #[doc = concat!("Picks with [`", stringify!($picker), "`](crate::picker::", stringify!($picker), ")")]
        /// at its defaults.
        pub fn $name(pool: impl Into<$pool>) -> Self {
            Self::new(pool, crate::picker::$picker::new())
        }
    )+};
}
pub(crate) use short_ways_in;

/// A service that spreads requests over the backends of a [`Pool`].
///
/// `T` is what the pool's backends hold, `Req` the request. Clones share the pool, the picker and
/// its state; a clone costs one reference count, so it can be made for each request.
///
/// The other two parameters are seldom written: `R` says how a backend's value becomes a service
/// ([`Direct`]: it is one), `K` how long a request counts as in flight ([`OnResponse`]: until there
/// is a response). For HTTP, [`count_to_body_end`](Self::count_to_body_end) changes the latter.
///
/// # Readiness
///
/// `poll_ready` is always ready and reserves nothing. A request that finds no ready backend waits
/// in its future, for [`max_wait`](Self::max_wait) at most. So tower's `LoadShed` around a balance
/// never sheds: set `max_wait` to zero instead.
///
/// # Cancel safety
///
/// A response future can be dropped at any point. Whatever was counted for it is counted back.
///
/// # Errors
///
/// Those of [`Error`]. Nothing waits for ever: an empty pool, only drained backends, and services
/// that never become ready end in an error that says so.
///
/// # `oneshot` does not exist?
///
/// The compiler says so when a balance is no service for the request. It is one when its backends
/// are services that take the request and are `Clone`, and when their errors are
/// `Into<Box<dyn Error + Send + Sync>>`. A pool of addresses needs a
/// [`BalanceLayer`](crate::http::BalanceLayer) around a client instead, and
/// [`count_to_body_end`](Self::count_to_body_end) needs HTTP responses. axum, which expects
/// `Infallible` and finds `Error`, needs [`into_http_responses`](Self::into_http_responses).
///
/// Where the backends' error is a box itself, `balance.oneshot(request).await` in a spawned task
/// runs into a limit of the compiler ("implementation of `From` is not general enough"), as it does
/// with tower's `Timeout`; `balance.ready().await?.call(request).await` does not.
///
/// # Panics
///
/// Waiting needs tokio's timer: on a tokio runtime that was built without
/// `enable_time`, a request that has to wait panics. Without any tokio runtime it does not wait.
///
/// # Examples
///
/// ```
/// use evenkeel::{Backend, Balance, Pool};
/// use tower::{Service, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), evenkeel::Error> {
/// let echo = |name: &'static str| {
///     service_fn(move |request: String| async move { Ok::<_, std::io::Error>(format!("{name}: {request}")) })
/// };
/// let pool = Pool::new();
/// # let echo = echo("a");
/// pool.insert(Backend::new("a", echo));
///
/// let balance = Balance::least_requests(pool.clone());
/// let response = balance.clone().oneshot("hello".to_owned()).await?;
/// assert_eq!(response, "a: hello");
///
/// // The pool can be changed at any time; every clone of the balance sees it.
/// pool.set_weight("a", 3);
/// # Ok(())
/// # }
/// ```
pub struct Balance<T, Req, R = Direct, K = OnResponse> {
    shared: Arc<Shared<T, Req>>,
    route: R,
    track: K,
    waits: Waits,
}

impl<T, Req> Balance<T, Req>
where
    T: Value,
    Req: 'static,
{
    /// Spreads requests over services with a picker, which can be a closure.
    pub fn new(pool: impl Into<Pool<T>>, picker: impl Picker<Req> + 'static) -> Self {
        Self::with_parts(
            share(pool.into(), picker),
            Direct,
            OnResponse,
            Waits::default(),
        )
    }

    short_ways_in!(Pool<T>);
}

impl<T, Req, R, K> Balance<T, Req, R, K> {
    pub(crate) fn with_parts(
        shared: Arc<Shared<T, Req>>,
        route: R,
        track: K,
        waits: Waits,
    ) -> Self {
        Self {
            shared,
            route,
            track,
            waits,
        }
    }

    /// Sets how long a request may wait for a backend that takes it: while the pool is empty or
    /// nothing in it is eligible, and while all services are pending. Default 1 s. With zero it
    /// fails at once.
    #[must_use]
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.waits.set_max(max_wait);
        self
    }

    /// Sets how long a request that a picker sends by a [key](crate::picker::hash), or that is
    /// [bound](super::Attempt) to a backend, waits for its own backend to be ready before it is
    /// passed over. Default 0: at once, as with any other. It is part of `max_wait`, and no longer:
    /// at the end of either, the next choice is asked.
    #[must_use]
    pub fn affinity_wait(mut self, affinity_wait: Duration) -> Self {
        self.waits.set_affinity(affinity_wait);
        self
    }

    /// Sets how long a backend has for its response head, from when it is given the request. Then
    /// the attempt has failed with [`Failure::Timeout`](crate::backend::Failure::Timeout), for which
    /// the backend is blamed, and the request to it is dropped. Default: no limit.
    ///
    /// The time that it takes to send the request is part of it; but under a
    /// [retry](crate::retry) of HTTP requests whose bodies are
    #[cfg_attr(feature = "http", doc = " [recorded](crate::http::ReplayBody)")]
    #[cfg_attr(not(feature = "http"), doc = " recorded")]
    /// it begins anew whenever the caller has sent what was waited for: one that uploads slowly is not to
    /// be a backend's failure.
    ///
    /// The timer is armed only for a response that is not there at once.
    #[must_use]
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.waits.set_attempt(timeout);
        self
    }

    #[cfg(feature = "http")]
    pub(crate) fn attempt_timeout_if_none(self, timeout: Duration) -> Self {
        match self.waits.attempt() {
            super::waits::NEVER => self.attempt_timeout(timeout),
            _ => self,
        }
    }

    /// Returns the service of [`Attempt`](super::Attempt)s: requests that may ask for a backend.
    pub fn attempts(self) -> Attempts<T, Req, R, K> {
        Attempts::new(self)
    }

    #[inline]
    pub(crate) fn attempt(&self, attempt: Attempt<Req>) -> ResponseFuture<T, Req, R, K>
    where
        R: Route<T, Req> + Clone,
        <R::Service as Service<Req>>::Error: Into<BoxError>,
        K: Clone,
    {
        ResponseFuture::new(
            &self.shared,
            &self.route,
            self.track.clone(),
            &self.waits,
            attempt,
        )
    }

    /// Makes picks repeatable: all random choices of this balance and its clones come from this
    /// seed. For tests, since it costs a counter that all threads share. Only the first seed
    /// counts. Where round robin begins is set with its own `starting_at`.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        self.shared.seed(seed);
        self
    }

    /// Replaces the way in which backends' values become services.
    ///
    /// See [`Route`] for an example.
    #[must_use]
    pub fn route<R2>(self, route: R2) -> Balance<T, Req, R2, K> {
        Balance::with_parts(self.shared, route, self.track, self.waits)
    }

    /// Replaces the way in which requests are counted as in flight.
    ///
    /// See [`Track`] for an example.
    #[must_use]
    pub fn track<K2>(self, track: K2) -> Balance<T, Req, R, K2> {
        Balance::with_parts(self.shared, self.route, track, self.waits)
    }

    /// Whether there is an eligible backend that is none of these.
    pub(crate) fn has_another(&self, tried: &[Handle]) -> bool {
        let lists = &self.shared.view().snapshot.lists;
        lists.iter().any(|list| {
            let mut handles = (0..list.len()).map(|rank| list.handle(rank));
            handles.any(|handle| !tried.contains(&handle))
        })
    }

    pub(crate) fn tracker(&self) -> &K {
        &self.track
    }

    /// Returns the pool.
    pub fn pool(&self) -> &Pool<T> {
        self.shared.pool()
    }
}

impl<T, Req, R, K> Balance<T, Req, R, K>
where
    T: Value,
    Req: 'static,
{
    /// Tells an [`Observer`] of each attempt from now on: those of all clones, and with pickers that
    /// are set later. One that was set before is told, too. Default: nobody.
    #[must_use]
    pub fn observer(self, observer: impl Observer + 'static) -> Self {
        self.shared.add_observer(observer);
        self
    }

    /// Replaces the picker for all clones, while requests run.
    ///
    /// When this returns, new requests are picked for with the new one.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::picker::Algorithm;
    /// use evenkeel::{Backend, Balance, Pool};
    /// # use tower::service_fn;
    /// # let service = service_fn(|_request: ()| async { Ok::<_, std::io::Error>(()) });
    ///
    /// let balance = Balance::<_, ()>::round_robin([Backend::new("a", service)]);
    /// let algorithm: Algorithm = "least-requests".parse()?;
    /// balance.set_picker(algorithm.picker());
    /// # Ok::<(), evenkeel::picker::UnknownAlgorithm>(())
    /// ```
    pub fn set_picker(&self, picker: impl Picker<Req> + 'static) {
        self.shared.set_picker(picker);
    }
}

impl<T, Req, R, K> Balance<T, Req, R, K>
where
    T: Value,
    Req: 'static,
{
    /// Sends the load probes that the picker asks for, beside the requests; see [`LoadProbes`]. For
    /// pickers such as [`Prequal`](crate::picker::Prequal); others ask for none. Default: none are
    /// sent.
    ///
    /// It is set for all clones, and for pickers that are set later. Only the first counts.
    #[must_use]
    pub fn load_probes<S>(self, probes: LoadProbes<S>) -> Self
    where
        S: Service<T, Response = LoadReport> + Clone + Send + Sync + 'static,
        S::Future: Send,
    {
        let sender = Prober::new(&self.shared, probes);
        self.shared.set_probing(Arc::new(sender));
        self
    }
}

impl<T, Req, R, K> Service<Req> for Balance<T, Req, R, K>
where
    R: Route<T, Req> + Clone,
    <R::Service as Service<Req>>::Error: Into<BoxError>,
    K: Track<<R::Service as Service<Req>>::Response> + Clone,
{
    type Response = K::Response;
    type Error = Error;
    type Future = ResponseFuture<T, Req, R, K>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        self.attempt(Attempt::new(request))
    }
}

impl<T, Req, R: Clone, K: Clone> Clone for Balance<T, Req, R, K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            route: self.route.clone(),
            track: self.track.clone(),
            waits: self.waits,
        }
    }
}

impl<T, Req, R, K> fmt::Debug for Balance<T, Req, R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Balance")
            .field("waits", &self.waits)
            .finish_non_exhaustive()
    }
}
