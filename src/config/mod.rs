//! Configuration from a file: backends, picker, health, retries, limits, by the names that the
//! builders have.
//!
//! [`Config`] implements serde's `Deserialize`, so a file can be TOML, JSON, or any other format that
//! says what it is made of. The crate for that is yours to choose; this one brings none.
//!
//! ```no_run
//! use evenkeel::config::Config;
//! use http_body_util::Full;
//! use hyper::body::{Bytes, Incoming};
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let config: Config = toml::from_str(&std::fs::read_to_string("proxy.toml")?)?;
//! let pool = config.pool();
//!
//! let probes = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
//! let mut watching = config.watch(&pool, probes.clone());
//! let client = Client::builder(TokioExecutor::new()).build_http();
//! let mut service = config.service::<Incoming, _>(&pool, client.clone());
//!
//! // Later, when the file has changed:
//! let config: Config = toml::from_str(&std::fs::read_to_string("proxy.toml")?)?;
//! config.apply(&pool);
//! watching = config.watch(&pool, probes);
//! service = config.service(&pool, client);
//! # let _ = (watching, service);
//! # Ok(())
//! # }
//! ```
//!
//! # What a file says
//!
//! All of it can be left out, and a section without a setting is as if that were left out. **A file
//! that says nothing is [`recommended`](crate::http::recommended)** around
//! [`least_requests`](crate::Balance::least_requests): its numbers are the defaults, and where it
//! has none, those of the builder. A setting has the name, the unit and the bounds of the method
//! that takes it. Times are texts with a unit, as [humantime] reads them: `"250ms"`, `"1m 30s"`. What
//! is on by default is turned off by `false`.
//!
//! | section | settings | of |
//! | --- | --- | --- |
//! | `[[backend]]` | `address`; `id` (the address), `weight`, `priority`, `zone`, `hash_key`, `max_in_flight`, `server_name`, `health` (`"healthy"`, `"degraded"`, `"unhealthy"` or `"draining"`), `metadata` (a table of texts) | [`Backend`], [`Address`] |
//! | `[picker]` | `algorithm` (`"least-requests"`), an [`Algorithm`](crate::picker::Algorithm) or a [`HashAlgorithm`](crate::picker::hash::HashAlgorithm); `choices`, for `least-requests` and `least-response-time` | [`picker`](crate::picker) |
//! | | for a hash algorithm: `key` (`"client-address"`), or a list, of which the first that is there counts: `path`, `path:SEGMENTS`, `uri`, `host`, `header:NAME`, `cookie:NAME`, `query:NAME`; `bounded_load`; `trusted_proxies` (a list of networks), `forwarded_in` (`"x-forwarded-for"`) | [`Keyed`](crate::picker::hash::Keyed), [`key`](crate::http::key) |
//! | `[rules]` | `panic_threshold`, `overprovisioning` or `plain_backup`, `local_zone`, `callers` (a table of numbers by zone) | [`Rules`] |
//! | `[slow_start]` | `window`; `minimum`, `aggression` | [`SlowStart`](crate::set::SlowStart) |
//! | `[limit_each]` | `max_in_flight` or `adaptive`, `queue`, `newest_first`, `retry_after` | [`Limits`](crate::set::Limits) |
//! | `[limit_each.adaptive]` | `law` (`"gradient"` or `"aimd"`); `bounds` (a list of two), `initial`, `backoff`, `tolerance`, `smoothing`, `latency_limit` | [`AdaptiveLimit`](crate::backend::AdaptiveLimit) |
//! | `[ejection]` | `failures_in_a_row`, `gateway_failures_in_a_row`, `success_rate`, `failure_percentage`, `latency` (`factor` and `floor`), `minimum_backends`, `minimum_requests`, `interval`, `base_time` (`"5s"`), `max_time`, `jitter`, `max_ejected` (0.5), `spare`, `degraded_for` | [`Ejection`] |
//! | `[probe]` | `kind` (`"http"`, or `"grpc"`, `"tcp"`); `interval`, `changing_interval`, `idle_interval`, `jitter`, `timeout`, `rise`, `fall`, `gated`, `concurrency` | [`ProbeSettings`] |
//! | | for `http`: `path`, `method`, `host`, `headers`, `expect_status` (a list: `[204, "301-302"]`), `body_contains`, `body_limit`, `degraded_header`; for `grpc`: `service` | [`HttpProbe`](crate::health::HttpProbe), [`GrpcProbe`](crate::health::GrpcProbe) |
//! | `[retry]` | `attempts`, `on` (a list of `connect`, `timeout`, `gateway`, `response`, `body`, `other`), `on_rejected`, `backoff` (`base` and `max`) | [`RetryLayer`] |
//! | `[retry.budget]` | `share`, `per_second`, `window` | [`Budget`](crate::retry::Budget) |
//! | `[retry.hedge]` | `after` or `percentile`; `minimum` | [`Hedge`](crate::retry::Hedge) |
//! | `[limit]` | `max_in_flight` (1024), `queue`, `newest_first`, `max_wait`, `retry_after` | [`LimitLayer`] |
//! | `[timeouts]` | `attempt_timeout` (`"5s"`), `max_wait`, `affinity_wait`; `total_time` (`"30s"`) | [`BalanceLayer`], [`RetryLayer`] |
//! | `[replay]` | `max_bytes` | [`ReplayLayer`] |
//!
//! Without `[probe]` nobody is probed. Settings of a program, such as where it listens, can stand in
//! the same file: in a struct of its own with a field of type [`Config`].
//!
//! [humantime]: https://docs.rs/humantime/2/humantime/fn.parse_duration.html
//!
//! # Errors
//!
//! Everything is checked when it is read, so that a `Config` that is there can be used. An error has
//! the path of the setting, the value, and what was expected; one that nobody knows is refused, too.
//!
//! ```
//! use evenkeel::config::Config;
//!
//! let error = toml::from_str::<Config>("[ejection]\nmax_ejected = 1.5").unwrap_err();
//! assert_eq!(
//!     error.message(),
//!     "ejection.max_ejected: invalid share of ejected backends 1.5: expected a share from 0 to 1",
//! );
//! ```

mod backend;
mod ejection;
mod entry;
mod invalid;
mod key;
mod limit;
mod picker;
mod probe;
mod retry;
mod rules;
mod sections;
mod values;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use serde::de::{Deserialize, Deserializer, Error};
use tower::BoxError;
use tower_service::Service;

#[cfg(feature = "file")]
pub(crate) use self::backend::FIELDS;
#[cfg(feature = "file")]
pub(crate) use self::entry::from_fields;
pub use self::entry::{InvalidEntry, read_backend, write_backend};
use self::picker::PickerChoice;
use self::probe::Probing;
use self::sections::Sections;
use crate::backend::Backend;
use crate::health::{Ejection, Health, ProbeSettings, Watching};
use crate::http::recommended::Numbers;
use crate::http::{
    Address, BalanceLayer, ByMethod, HttpOutcomes, Recommended, ReplayBody, ReplayLayer,
    UntilBodyEnd, Via,
};
use crate::limit::LimitLayer;
use crate::picker::Picker;
use crate::retry::RetryLayer;
use crate::set::{Changes, Pool, Rules};

/// A configuration that has been read and checked; see the [module](self) for what it can say.
///
/// What is built from one `Config` and its clones shares the limit of requests in flight, the
/// budget of retries, and what hedges have learnt. A second `Config` has its own, so that requests
/// that run on what was built from the first do not count there.
///
/// # Examples
///
/// ```
/// use evenkeel::config::Config;
/// use std::time::Duration;
///
/// let config: Config = serde_json::from_str(
///     r#"{
///         "backend": [{ "address": "10.0.0.1:8080", "weight": 3 }, { "address": "10.0.0.2:8080" }],
///         "picker": { "algorithm": "maglev", "key": ["cookie:session", "client-address"] },
///         "timeouts": { "attempt_timeout": "600ms" }
///     }"#,
/// )?;
/// let pool = config.pool();
/// assert_eq!(pool.get("10.0.0.1:8080").unwrap().weight(), 3);
///
/// // Changed while it serves: the second is in use as before, the first lets go.
/// let config: Config = serde_json::from_str(r#"{ "backend": [{ "address": "10.0.0.2:8080" }] }"#)?;
/// assert!(config.apply(&pool).any());
/// assert_eq!(pool.len(), 1);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Config {
    backends: Vec<Backend<Address>>,
    rules: Rules,
    picker: PickerChoice,
    max_wait: Option<Duration>,
    affinity_wait: Option<Duration>,
    probe: Option<Probing>,
    numbers: Numbers,
}

impl Config {
    /// Creates a pool with these backends and rules.
    pub fn pool(&self) -> Pool<Address> {
        let pool = Pool::new();
        self.apply(&pool);
        pool
    }

    /// Makes the members and rules of a pool those of this configuration, while it serves.
    ///
    /// A backend whose id stays keeps its statistics, health and place, whatever else of it
    /// changes; one that is not listed any more gets no new requests, and those that it has go on.
    /// What is the same is left alone.
    pub fn apply(&self, pool: &Pool<Address>) -> Changes {
        // Those who join do so by the new rules.
        pool.set_rules(self.rules.clone());
        pool.replace_all(self.backends.iter().cloned())
    }

    /// Builds the [recommended](crate::http::recommended) stack with this configuration's numbers
    /// around a client.
    ///
    /// Like that, it watches the pool from the first request on, by
    /// [`ejection`](Self::ejection) alone, if nobody [watches](Self::watch) it already.
    /// What it watches itself ends with it, and is forgotten: where configurations are to follow one
    /// another, [`watch`](Self::watch) yourself.
    ///
    /// Requests that run on a service that was built before go on there, with what it was built
    /// with. When its last clone and its last response are dropped, it is gone.
    pub fn service<B: 'static, C>(
        &self,
        pool: &Pool<Address>,
        client: C,
    ) -> Recommended<Address, B, Via<C>, HttpOutcomes>
    where
        C: Service<Request<ReplayBody<B>>> + Clone,
    {
        use tower_layer::Layer;

        let numbers = self.numbers.clone();
        numbers.stack(self.balance_layer(pool).layer(client))
    }

    /// Watches the pool: by [`ejection`](Self::ejection), and by the probe if there is one, which
    /// uses the client; see [`health`](Self::health).
    ///
    /// It takes the place of a watch before, and keeps what that knew of the backends: they stay
    /// ejected. Keep the return value, since dropping it ends the watch, and drop the one before only
    /// when there is this one.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    #[track_caller]
    pub fn watch<C, B, RB>(&self, pool: &Pool<Address>, client: C) -> Watching
    where
        C: Service<Request<B>, Response = Response<RB>> + Clone + Send + Sync + 'static,
        C: Service<Request<B>, Error: Into<BoxError>, Future: Send>,
        B: Default + From<Bytes> + Send + 'static,
        RB: Body<Error: Into<BoxError>> + Send + 'static,
    {
        self.health(client).spawn(pool)
    }

    /// Returns how health is watched, with a client for its probe: one for requests of a body such
    /// as `Full<Bytes>`, of http-body-util, which can be empty as well as a gRPC message.
    pub fn health<C, B, RB>(&self, client: C) -> Health<Address>
    where
        C: Service<Request<B>, Response = Response<RB>> + Clone + Send + Sync + 'static,
        C: Service<Request<B>, Error: Into<BoxError>, Future: Send>,
        B: Default + From<Bytes> + Send + 'static,
        RB: Body<Error: Into<BoxError>> + Send + 'static,
    {
        let health = Health::new().ejection(self.ejection());
        match &self.probe {
            Some(probing) => probing.with(client, health),
            None => health,
        }
    }

    /// Returns the backends, in their order.
    pub fn backends(&self) -> impl Iterator<Item = &Backend<Address>> {
        self.backends.iter()
    }

    /// Returns the rules of the pool: panic threshold, zones, slow start, limits of each backend.
    pub fn rules(&self) -> Rules {
        self.rules.clone()
    }

    /// Returns the rules by which a backend is ejected.
    pub fn ejection(&self) -> Ejection {
        self.numbers.ejection.clone()
    }

    /// Returns how backends are probed, if they are.
    pub fn probe_settings(&self) -> Option<&ProbeSettings> {
        self.probe.as_ref().map(Probing::settings)
    }

    /// Makes a picker, with a state of its own.
    pub fn picker<B: 'static>(&self) -> Arc<dyn Picker<Request<B>>> {
        self.picker.picker()
    }

    /// Makes the layer that balances, with a [`picker`](Self::picker) and time limits.
    pub fn balance_layer<B: 'static>(&self, pool: &Pool<Address>) -> BalanceLayer<B> {
        let mut layer = BalanceLayer::new(pool.clone(), self.picker());
        if let Some(timeout) = self.numbers.attempt_timeout {
            layer = layer.attempt_timeout(timeout);
        }
        if let Some(wait) = self.max_wait {
            layer = layer.max_wait(wait);
        }
        if let Some(wait) = self.affinity_wait {
            layer = layer.affinity_wait(wait);
        }
        layer
    }

    /// Returns the layer that tries again.
    pub fn retry_layer(&self) -> RetryLayer<ByMethod> {
        self.numbers.retry.clone()
    }

    /// Returns the layer that bounds the requests in flight, to the ends of their bodies.
    pub fn limit_layer(&self) -> LimitLayer<UntilBodyEnd> {
        self.numbers.limit.clone().count_to_body_end()
    }

    /// Returns the layer that keeps what is sent of a body.
    pub fn replay_layer(&self) -> ReplayLayer {
        ReplayLayer::new().max_bytes(self.numbers.max_bytes)
    }
}

impl<'de> Deserialize<'de> for Config {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let sections: Sections =
            serde_path_to_error::deserialize(deserializer).map_err(|error| {
                let path = error.path().to_string();
                let problem = error.into_inner();
                match path.as_str() {
                    "." | "?" => problem,
                    path => D::Error::custom(format_args!("{path}: {problem}")),
                }
            })?;
        sections.build().map_err(D::Error::custom)
    }
}
