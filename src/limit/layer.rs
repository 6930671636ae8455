use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::count::Count;
use super::permit::Shared;
use super::{Limit, UntilResponse};
use crate::InvalidSetting;
use crate::backend::Line;

/// Limits the requests in flight in all services that it wraps.
///
/// Clones share the limit and its queue, and so do all services that they wrap: keep one to look at
/// it and to change it. [`max_wait`](Self::max_wait), [`retry_after`](Self::retry_after) and
/// [`hold`](Self::hold) are each clone's own, and hold for what it wraps from then on.
///
/// # Examples
///
/// ```
/// use evenkeel::limit::LimitLayer;
/// use evenkeel::{Balance, Pool};
/// use std::time::Duration;
/// use tower::ServiceBuilder;
/// # type App = tower::util::BoxCloneSyncService<(), (), std::io::Error>;
///
/// let limit = LimitLayer::new(500)?
///     .queue(200)
///     .max_wait(Duration::from_millis(250))
///     .retry_after(Duration::from_secs(5));
/// let service = ServiceBuilder::new()
///     .layer(limit.clone())
///     .service(Balance::<App, ()>::round_robin(Pool::new()));
///
/// // There are more machines by now.
/// limit.set_max(800)?;
/// assert_eq!((limit.max(), limit.in_flight(), limit.queued()), (800, 0, 0));
/// # let _ = service;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LimitLayer<H = UntilResponse> {
    shared: Arc<Shared>,
    pub(super) settings: Settings<H>,
}

/// What is each service's own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings<H> {
    pub(super) max_wait: Duration,
    pub(super) retry_after: Duration,
    pub(super) hold: H,
}

/// Envoy's `max_pending_requests`.
const QUEUE: u32 = 1024;

impl LimitLayer {
    /// Creates a limit of so many requests in flight.
    ///
    /// # Errors
    ///
    /// If it is 0, or more than `u32::MAX`.
    pub fn new(max_in_flight: usize) -> Result<Self, InvalidSetting> {
        let max = check(max_in_flight)?;
        Ok(Self {
            shared: Arc::new(Shared {
                count: Count::new(max),
                line: Arc::new(Line::new(QUEUE, false)),
            }),
            settings: Settings {
                max_wait: Duration::from_secs(1),
                retry_after: Duration::from_secs(1),
                hold: UntilResponse,
            },
        })
    }
}

impl<H> LimitLayer<H> {
    /// Sets how many requests can wait at once, for all clones. Default 1024; 0 means that none
    /// waits.
    ///
    /// When so many wait, newcomers are refused. Those who wait already are not, however short the
    /// queue becomes.
    pub fn queue(self, length: usize) -> Self {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        self.shared.line.set_bound(length);
        self
    }

    /// Makes the newest request in the queue the next one, for all clones. Default: the oldest.
    ///
    /// Where the queue is never empty for long, waiting in order makes everybody late, and those at
    /// the front are those whose clients have the least patience left. Newest first, some are
    /// served fast and the others time out. A queue that is full refuses newcomers all the same;
    /// [`max_wait`](Self::max_wait) is what makes room in it.
    pub fn newest_first(self) -> Self {
        self.shared.line.set_newest_first(true);
        self
    }

    /// Sets how long a request waits at most, from the first poll of its future. Default 1 s; zero
    /// means that none waits.
    ///
    /// Without a tokio runtime there is no timer, and a request does not wait.
    pub fn max_wait(mut self, wait: Duration) -> Self {
        self.settings.max_wait = wait;
        self
    }

    /// Sets what [`Overloaded::retry_after`](super::Overloaded::retry_after) says. Default 1 s.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.settings.retry_after = after;
        self
    }

    /// Sets for how long a request counts as in flight. Default: [`UntilResponse`].
    pub fn hold<H2>(self, hold: H2) -> LimitLayer<H2> {
        LimitLayer {
            shared: self.shared,
            settings: Settings {
                max_wait: self.settings.max_wait,
                retry_after: self.settings.retry_after,
                hold,
            },
        }
    }

    /// Changes the limit while requests run, for all clones.
    ///
    /// Raised, as many of those who wait are called at once. Lowered, nobody is stopped: none is
    /// admitted until so many have ended that there is room again.
    ///
    /// # Errors
    ///
    /// If it is 0, or more than `u32::MAX`. Nothing is changed then.
    pub fn set_max(&self, max_in_flight: usize) -> Result<(), InvalidSetting> {
        self.shared.count.set_max(check(max_in_flight)?);
        self.shared.call();
        Ok(())
    }

    /// Returns how many requests may be in flight.
    pub fn max(&self) -> usize {
        self.shared.count.max() as usize
    }

    /// Returns how many requests are in flight. More than [`max`](Self::max) only after that was
    /// lowered.
    pub fn in_flight(&self) -> usize {
        self.shared.count.in_flight() as usize
    }

    /// Returns how many requests are in the queue.
    pub fn queued(&self) -> usize {
        self.shared.line.len() as usize
    }
}

fn check(max_in_flight: usize) -> Result<u32, InvalidSetting> {
    match u32::try_from(max_in_flight) {
        Ok(max @ 1..) => Ok(max),
        _ => Err(InvalidSetting::new(
            "limit of requests in flight",
            max_in_flight,
            "1 to 4294967295",
        )),
    }
}

impl<S, H: Clone> Layer<S> for LimitLayer<H> {
    type Service = Limit<S, H>;

    fn layer(&self, service: S) -> Self::Service {
        Limit::new(service, Arc::clone(&self.shared), self.settings.clone())
    }
}
