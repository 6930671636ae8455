use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, Request};
use tower_layer::Layer;

use super::via::HostFrom;
use super::{Address, Classify, HttpOutcomes, OnBodyEnd, Via};
use crate::balance::{Balance, Shared, Waits, share, short_ways_in};
use crate::load::LoadReport;
use crate::observe::Observer;
use crate::picker::Picker;
use crate::set::Pool;

/// Puts a [`Balance`] over a pool of [`Address`]es around an HTTP client.
///
/// For each request it picks an address, sets it on the request's URI, and calls the client, whose
/// own connection pool keeps connections to every address. Path, query and an existing `Host`
/// header stay as they are; a request without one gets the authority of its original URI, so
/// virtual hosts keep working.
///
/// Over HTTP/2, `:authority` is that of the URI, and so the backend's; `Host` goes along.
///
/// A client whose requests are of another type needs an adapter. For reqwest there is
/// `ReqwestClient`, with the feature `reqwest`.
///
/// Every service that one layer makes shares the picker and its state. `B` is the request's body,
/// `C` says [what counts as a failure](Self::classify).
///
/// # Examples
///
/// ```
/// use evenkeel::http::BalanceLayer;
/// use evenkeel::Pool;
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Any HTTP client: hyper-util's, or this one.
/// let client = service_fn(|request: Request<String>| async move {
///     Ok::<_, std::io::Error>(Response::new(request.uri().to_string()))
/// });
///
/// let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"])?;
/// let client = BalanceLayer::least_requests(pool).layer(client);
///
/// let request = Request::get("http://shop.example/cart").body(String::new())?;
/// let response = client.oneshot(request).await?;
/// assert!(["http://10.0.0.1:80/cart", "http://10.0.0.2:80/cart"].contains(&response.body().get_ref().as_str()));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct BalanceLayer<B, C = HttpOutcomes> {
    shared: Arc<Shared<Address, Request<B>>>,
    host: HostFrom,
    waits: Waits,
    track: OnBodyEnd<C>,
}

impl<B: 'static> BalanceLayer<B> {
    /// Picks addresses with a picker, which can be a closure.
    pub fn new(pool: impl Into<Pool<Address>>, picker: impl Picker<Request<B>> + 'static) -> Self {
        Self {
            shared: share(pool.into(), picker),
            host: HostFrom::default(),
            waits: Waits::default(),
            track: OnBodyEnd::new(),
        }
    }

    short_ways_in!(Pool<Address>);
}

impl<B: 'static, C> BalanceLayer<B, C> {
    /// Tells an [`Observer`] of each attempt of all services that this layer makes; see
    /// [`Balance::observer`].
    pub fn observer(self, observer: impl Observer + 'static) -> Self {
        self.shared.add_observer(observer);
        self
    }

    /// Replaces the picker for all services that this layer made, while requests run.
    pub fn set_picker(&self, picker: impl Picker<Request<B>> + 'static) {
        self.shared.set_picker(picker);
    }
}

impl<B, C> BalanceLayer<B, C> {
    /// Sets what counts as a failure. Default: [`HttpOutcomes`]. For a closure, write out the type
    /// of its argument: `|head: &Response<()>|`.
    pub fn classify<C2: Classify>(self, classify: C2) -> BalanceLayer<B, C2> {
        BalanceLayer {
            shared: self.shared,
            host: self.host,
            waits: self.waits,
            track: self.track.classify(classify),
        }
    }

    /// Believes what a response says of its backend's load, and tells the picker; see
    /// [`OnBodyEnd::believe_load_reports`]. Default: nothing is believed.
    pub fn believe_load_reports(mut self, read: fn(&mut HeaderMap) -> Option<LoadReport>) -> Self {
        self.track = self.track.believe_load_reports(read);
        self
    }

    /// Sets the `Host` header of each request to the address it goes to. Default: it is kept.
    pub fn host_from_backend(mut self) -> Self {
        self.host = HostFrom::Backend;
        self
    }

    /// Sets how long a request may wait for a backend; see [`Balance::max_wait`]. Default 1 s.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.waits.set_max(max_wait);
        self
    }

    /// Sets how long a request waits for the backend of its key; see [`Balance::affinity_wait`].
    /// Default 0.
    pub fn affinity_wait(mut self, affinity_wait: Duration) -> Self {
        self.waits.set_affinity(affinity_wait);
        self
    }

    /// Sets how long a backend has for its response head; see [`Balance::attempt_timeout`].
    /// Default: no limit.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.waits.set_attempt(timeout);
        self
    }

    /// Makes picks repeatable; see [`Balance::seed`].
    pub fn seed(self, seed: u64) -> Self {
        self.shared.seed(seed);
        self
    }

    /// Returns the pool.
    pub fn pool(&self) -> &Pool<Address> {
        self.shared.pool()
    }
}

impl<B, C: Clone, S> Layer<S> for BalanceLayer<B, C> {
    type Service = Balance<Address, Request<B>, Via<S>, OnBodyEnd<C>>;

    fn layer(&self, client: S) -> Self::Service {
        let route = Via::new(client, self.host);
        Balance::with_parts(
            Arc::clone(&self.shared),
            route,
            self.track.clone(),
            self.waits,
        )
    }
}

impl<B, C: Clone> Clone for BalanceLayer<B, C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            host: self.host,
            waits: self.waits,
            track: self.track.clone(),
        }
    }
}

impl<B, C> fmt::Debug for BalanceLayer<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BalanceLayer")
            .field("host", &self.host)
            .field("waits", &self.waits)
            .finish_non_exhaustive()
    }
}
