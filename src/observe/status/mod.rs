//! How pools and their backends are, over HTTP: a page for people, JSON, and Prometheus's text.
//!
//! | path | what it is |
//! | --- | --- |
//! | `/` | a page that updates itself each second, without anything from elsewhere |
//! | `/status.json` | `{"pools": [...]}`, each a [`PoolStatus`](crate::set::PoolStatus) with its `name` |
//! | `/metrics` | the [text format](https://prometheus.io/docs/instrumenting/exposition_formats/) of Prometheus |
//!
//! All three only read, by GET and HEAD. Who is to see them is for the program to decide: ids, zones
//! and metadata of backends are shown to whoever can reach them. What an operator does to a pool
//! ([`drain`](crate::Pool::drain), [`force_down`](crate::Pool::force_down),
//! [`set_weight`](crate::Pool::set_weight)) are methods of the pool; the example `status_page` puts
//! them behind routes that ask for a token.
//!
//! # JSON
//!
//! Times are seconds. `since_seconds` is for how long a backend has been in its state,
//! `until_seconds` for how much longer it will be, `latency_seconds` what to expect,
//! `requests` how they ended, `failures` of which kind those were.
//!
//! # Metrics
//!
//! Each has the label `pool`; those of `evenkeel_backend_` and `evenkeel_attempts_` have `backend`, the
//! id. What the feature `metrics` counts, too, has the same name there.
//!
//! | name | type | unit | more labels | what |
//! | --- | --- | --- | --- | --- |
//! | `evenkeel_backends` | gauge | | `state` | members in each state |
//! | `evenkeel_pool_panic` | gauge | 0, 1 | | whether any tier ignores health |
//! | `evenkeel_pool_watched` | gauge | 0, 1 | | whether health is watched |
//! | `evenkeel_queued_requests` | gauge | | | requests that wait for room |
//! | `evenkeel_tier_share_ratio` | gauge | 0 to 1 | `priority` | part of the requests that a tier gets |
//! | `evenkeel_backend_eligible` | gauge | 0, 1 | | whether it can be picked |
//! | `evenkeel_backend_state` | gauge | 1 | `state` | the state it is in |
//! | `evenkeel_backend_share_ratio` | gauge | 0 to 1 | | part of a full share that it gets |
//! | `evenkeel_backend_weight` | gauge | | | its weight |
//! | `evenkeel_attempts_in_flight` | gauge | | | requests in flight |
//! | `evenkeel_backend_max_in_flight_requests` | gauge | | | its limit, if it has one |
//! | `evenkeel_backend_ejection_remaining_seconds` | gauge | s | | how long it is still out, if it is |
//! | `evenkeel_attempts_total` | counter | | `outcome`, `error_type` | requests that have ended at a backend |
//! | `evenkeel_backend_expected_latency_seconds` | gauge | s | | what pickers go by |
//! | `evenkeel_backend_latency_seconds` | summary | s | `quantile` | measured latencies; quantiles are of the last 30 to 60 s |
//!
//! Of each pool, the first [`max_backends`](Status::max_backends) members have series of their own,
//! and all others together are the backend `other`: sums, and for `share_ratio` the mean. What
//! belongs to it changes with the members, so a counter of it may go back, as at a restart.

mod body;
mod page;
mod prometheus;
mod respond;
mod series;
mod source;

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Method, Request, Response};
use tower_service::Service;

pub use self::body::StatusBody;
use self::source::Source;
use crate::set::Pool;

/// A service that shows how pools are: a page, JSON and Prometheus's text.
///
/// It goes at the root of a listener of its own, or under a prefix that is cut off before, as axum's
/// `nest_service` does. Clones share the pools, which it holds weakly: one that everybody else has
/// dropped is shown no more.
///
/// # Cost
///
/// Each answer looks at all members of all pools: O(n). A page asks each second for as long as it is
/// seen. Requests that are balanced pay for [recorded traffic](Pool::record_traffic), which showing
/// a pool turns on.
///
/// # Examples
///
/// ```
/// use axum::Router;
/// use evenkeel::observe::status::Status;
/// use evenkeel::{Backend, Pool};
/// # use http::Request;
/// # use tower::ServiceExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let pool = Pool::from([Backend::new("10.0.0.1:80", ())]);
/// let status = Status::new().pool("shop", &pool);
/// let app: Router = Router::new().nest_service("/internal/status", status);
/// # let request = Request::get("/internal/status/metrics").body(axum::body::Body::empty());
/// # let response = app.oneshot(request.unwrap()).await.unwrap();
/// # assert_eq!(response.status(), 200);
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Status {
    pools: Arc<[Named]>,
    max_backends: usize,
}

#[derive(Clone)]
struct Named {
    name: Arc<str>,
    source: Arc<dyn Source>,
}

impl Status {
    /// Shows no pool yet.
    pub fn new() -> Self {
        Self {
            pools: Arc::default(),
            max_backends: 1000,
        }
    }

    /// Shows a pool under a name, after those before. One that has the name already is shown no
    /// more.
    ///
    /// From now on the pool [records its traffic](Pool::record_traffic).
    pub fn pool<T>(mut self, name: impl Into<Arc<str>>, pool: &Pool<T>) -> Self
    where
        T: Clone + Send + Sync + 'static,
    {
        pool.record_traffic();
        let name = name.into();
        let others = self.pools.iter().filter(|other| other.name != name);
        let mut pools: Vec<Named> = others.cloned().collect();
        pools.push(Named {
            name,
            source: Arc::new(pool.downgrade()),
        });
        self.pools = pools.into();
        self
    }

    /// Sets how many backends of each pool are shown one by one, and have metrics of their own.
    /// Default 1,000.
    ///
    /// JSON and the page then leave out some of those that are healthy. For metrics it is the first
    /// members that count, so that series stay the same.
    pub fn max_backends(mut self, most: usize) -> Self {
        self.max_backends = most;
        self
    }

    fn answer<B>(&self, request: &Request<B>) -> Response<StatusBody> {
        let path = request.uri().path();
        if !matches!(path, "" | "/" | "/status.json" | "/metrics") {
            return respond::not_found();
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return respond::not_allowed();
        }
        let response = match path {
            "/status.json" => respond::json(&self.statuses(), self.max_backends),
            "/metrics" => respond::metrics(prometheus::text(&self.statuses(), self.max_backends)),
            _ => respond::page(page::page()),
        };
        if request.method() == Method::HEAD {
            response.map(|_| StatusBody::empty())
        } else {
            response
        }
    }

    fn statuses(&self) -> Vec<(&str, crate::set::PoolStatus)> {
        let pools = self.pools.iter();
        let status = pools.filter_map(|pool| Some((&*pool.name, pool.source.status()?)));
        status.collect()
    }
}

impl Default for Status {
    fn default() -> Self {
        Self::new()
    }
}

impl<B> Service<Request<B>> for Status {
    type Response = Response<StatusBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<StatusBody>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(&request)))
    }
}

impl fmt::Debug for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.pools.iter().map(|pool| &*pool.name).collect();
        f.debug_struct("Status")
            .field("pools", &names)
            .field("max_backends", &self.max_backends)
            .finish()
    }
}
