mod names;
mod places;
mod series;
mod source;

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use metrics::Label;

use self::places::Places;
use self::series::OfPool;
use self::source::Source;
use super::Observer;
use crate::backend::{Handle, Observation, State, Value};
use crate::balance::Attempted;
use crate::retry::{Budget, ObserveAttempts};
use crate::set::{Events, Happened, Pool};

/// Counts what happens to the requests and the backends of one pool, as metrics of the
/// [`metrics`](::metrics) facade.
///
/// It is an [`Observer`] of a balance, an [`ObserveAttempts`] of a [retry](crate::retry), and
/// [`publish`](Self::publish)es what can only be read: clones are the same, so give each of those
/// one.
///
/// # Metrics
///
/// | name | type, unit | labels | what |
/// | --- | --- | --- | --- |
/// | `evenkeel_picks_total` | counter | `backend` | requests given to a backend |
/// | `evenkeel_attempts_total` | counter | `backend`, `outcome`, `error_type` | attempts that have ended |
/// | `evenkeel_attempt_head_seconds` | histogram, s | `backend` | time to the head of a response |
/// | `evenkeel_attempt_duration_seconds` | histogram, s | `backend` | time to the end of a response, or to an error |
/// | `evenkeel_retries_total` | counter | `backend` | attempts after the first of their request, hedges included; ¹ |
/// | `evenkeel_ejections_total` | counter | `backend` | times that it was ejected for its traffic; ² |
/// | `evenkeel_attempts_in_flight` | gauge | `backend` | requests in flight, of all balances over the pool; ² |
/// | `evenkeel_backend_eligible` | gauge | `backend` | 1 if it can be picked, else 0; ² |
/// | `evenkeel_requests_total` | counter | `outcome`, `error_type` | requests with all their attempts; ¹ |
/// | `evenkeel_backends` | gauge | `state` | members in each [`State`]; ² |
/// | `evenkeel_healthy_ratio` | gauge, 0 to 1 | | healthy members, of all; ² |
/// | `evenkeel_queued_requests` | gauge | | requests that wait for room at a backend ([`Pool::queued`]); ² |
/// | `evenkeel_retry_budget_tokens` | gauge | | retries that the [budget](Self::budget) has left; ² |
///
/// ¹ as an observer of a retry; ² when it is [published](Self::publish). All have the label `pool`
/// if it has a [name](Self::name).
///
/// `outcome` is `success`, `failure`, `rejected` or `cancelled`. `error_type` is there for failures
/// only: `connect`, `timeout`, `gateway`, `response`, `body`, `other`, after the kinds of
/// [`Failure`](crate::backend::Failure), and for requests `no_backend`: no backend had it. As
/// Prometheus has it, units are base units and counters end in `_total`; `error_type` is
/// OpenTelemetry's `error.type`. Times are on one scale for all outcomes, so look at those of a
/// backend that fails fast beside its failures.
///
/// # How many series
///
/// Up to [`max_backends`](Self::max_backends) ids have series of their own, the first that come; the
/// rest share `backend="other"`, whose gauges are sums. A backend that leaves keeps its place, since
/// the facade cannot take a series back: given to the next, with new ids at each deployment, there
/// would be no bound. One that comes back goes on where it was. See [`release`](Self::release).
///
/// # When to make it
///
/// A recorder has to be installed before the first request: series are registered when they are
/// first used, and kept. So a recorder that drops what is idle, as `idle_timeout` of
/// `metrics-exporter-prometheus` does, must not do so with these.
///
/// # Cost
///
/// For each attempt three looks at a table and four atomic additions or so, as the recorder makes
/// them; no allocation, and no lock but for a backend that is new or has just left. That is about
/// 60 ns, beside being [observed](Observer#cost) and what the recorder does.
///
/// # Examples
///
/// ```
/// use evenkeel::Pool;
/// use evenkeel::http::{BalanceLayer, ReplayBody, recommended_with};
/// use evenkeel::observe::Metrics;
/// use metrics_exporter_prometheus::PrometheusBuilder;
/// use std::time::Duration;
/// use tower::Layer;
/// # use http::{Request, Response};
/// # use http_body_util::Empty;
/// # type Body = ReplayBody<Empty<&'static [u8]>>;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let client = tower::service_fn(|_request: Request<Body>| async {
/// #     Ok::<_, std::io::Error>(Response::new(String::new()))
/// # });
/// let prometheus = PrometheusBuilder::new()
///     .set_buckets(&[0.005, 0.025, 0.1, 0.5, 2.5, 10.0])?
///     .install_recorder()?;
///
/// let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"])?;
/// let metrics = Metrics::new(&pool).name("shop");
/// let balance = BalanceLayer::<Body>::least_requests(pool.clone()).observer(metrics.clone());
/// let service = recommended_with(balance.layer(client), |retry| retry.observer(metrics.clone()));
/// tokio::spawn(metrics.clone().publish_every(Duration::from_secs(5)));
///
/// // Where it is asked for:
/// metrics.publish();
/// let text = prometheus.render();
/// assert!(text.contains("evenkeel_healthy_ratio{pool=\"shop\"} 1"));
/// # let _ = service;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Metrics(Arc<Inner>);

struct Inner {
    settings: Settings,
    source: Arc<dyn Source>,
    events: Arc<Mutex<Events>>,
    places: Places,
    /// Registered with the first of them.
    of_pool: OnceLock<OfPool>,
}

#[derive(Clone)]
struct Settings {
    name: Option<Arc<str>>,
    max_backends: usize,
    budget: Option<Budget>,
}

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(10);

impl Metrics {
    /// Metrics of a pool, which is not kept alive by them. Ejections are counted from now on.
    pub fn new<T: Value>(pool: &Pool<T>) -> Self {
        let settings = Settings {
            name: None,
            max_backends: 1000,
            budget: None,
        };
        let events = Arc::new(Mutex::new(pool.events()));
        Self::of(settings, Arc::new(pool.downgrade()), events)
    }

    /// Sets the label `pool`, for programs with several pools. Default: there is none.
    ///
    /// This makes new metrics: set it first, then clone. So do the other settings.
    pub fn name(self, name: impl Into<Arc<str>>) -> Self {
        let name = Some(name.into());
        self.with(|settings| settings.name = name)
    }

    /// Sets how many ids have a value of the label `backend` of their own. Default 1,000. With 0, all
    /// are `other`.
    pub fn max_backends(self, max: usize) -> Self {
        self.with(|settings| settings.max_backends = max)
    }

    /// Shows what a retry's budget has left: a clone of the one that the
    /// [`RetryLayer`](crate::retry::RetryLayer::budget) was given. Default: none is shown.
    pub fn budget(self, budget: Budget) -> Self {
        self.with(|settings| settings.budget = Some(budget))
    }

    fn with(self, change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = self.0.settings.clone();
        change(&mut settings);
        Self::of(
            settings,
            Arc::clone(&self.0.source),
            Arc::clone(&self.0.events),
        )
    }

    fn of(settings: Settings, source: Arc<dyn Source>, events: Arc<Mutex<Events>>) -> Self {
        let name = settings.name.iter();
        let common: Box<[_]> = name
            .map(|name| Label::new("pool", Arc::clone(name)))
            .collect();
        Self(Arc::new(Inner {
            places: Places::new(settings.max_backends, common),
            of_pool: OnceLock::new(),
            settings,
            source,
            events,
        }))
    }

    /// Looks at the pool, and sets the gauges and counts ejections by what it sees. O(backends).
    /// Returns false once the pool is gone.
    ///
    /// To be called before each scrape, or by [`publish_every`](Self::publish_every). The pool
    /// remembers its last 1,024 events; whoever looks so seldom that there are more misses ejections.
    pub fn publish(&self) -> bool {
        let inner = &*self.0;
        inner.count_ejections();
        let Some((members, mut reading)) = inner.source.read() else {
            return false;
        };
        let budget = inner.settings.budget.as_ref();
        reading.budget = budget.map(Budget::available);
        inner.of_pool().set(&reading);
        inner.places.set(&members);
        true
    }

    /// [Publishes](Self::publish) now and whenever so much time has passed, at least 10 ms, until the
    /// pool is gone. To be spawned.
    ///
    /// # Cancel safety
    ///
    /// It can be dropped at any point, and begun again.
    ///
    /// # Panics
    ///
    /// On a tokio runtime without `enable_time`.
    pub async fn publish_every(self, interval: Duration) {
        while self.publish() {
            tokio::time::sleep(interval.max(SHORTEST)).await;
        }
    }

    /// Gives up the place of a backend that has left, so that another can have it. Returns whether it
    /// had one.
    ///
    /// That bounds nothing by itself: it is for those who know that their recorder has dropped the
    /// series, or that few ids come and go. If the backend is heard of again, it counts as new.
    pub fn release(&self, backend: &str) -> bool {
        self.0.places.release(backend)
    }
}

impl Inner {
    fn of_pool(&self) -> &OfPool {
        self.of_pool.get_or_init(|| {
            names::describe();
            OfPool::of(self.places.common())
        })
    }

    fn count_ejections(&self) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(event) = events.try_next() {
            if let Happened::Changed {
                backend,
                to: State::Ejected,
                ..
            } = event.what()
            {
                self.places
                    .with_id(backend, |series| series.ejections.increment(1));
            }
        }
    }
}

impl Observer for Metrics {
    #[inline]
    fn observe(&self, backend: &str, handle: Handle, observation: &Observation) {
        let event = observation.event();
        self.0
            .places
            .with(backend, handle, |series| series.note(event));
    }
}

impl ObserveAttempts for Metrics {
    fn attempt(&self, number: usize, attempt: &Attempted) {
        if number > 0 {
            let (backend, handle) = (attempt.backend(), attempt.handle());
            let count = |series: &series::Series| series.retries.increment(1);
            self.0.places.with(backend, handle, count);
        }
    }

    fn request(&self, attempts: &[Attempted]) {
        self.0
            .of_pool()
            .end(attempts.last().map(Attempted::outcome));
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = &self.0.settings;
        f.debug_struct("Metrics")
            .field("name", &settings.name)
            .field("max_backends", &settings.max_backends)
            .field("budget", &settings.budget)
            .finish_non_exhaustive()
    }
}
