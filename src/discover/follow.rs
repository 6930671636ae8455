use std::convert::identity;
use std::future::Future;
use std::time::Duration;

use super::driver::{Driver, Ended};
use super::source::Source;
use super::spawn::{Feeding, spawn_listed};
use crate::backend::Backend;
use crate::backoff::Backoff;
use crate::set::{Pool, Subset};

/// Feeds pools from a [`Source`], by the same rules for every source.
///
/// * The pool keeps the last good set when the source errs, ends, or [hands out an empty
///   set](Self::allow_empty).
/// * A stream that fails or ends is opened again, after a pause that [doubles](Self::backoff), with
///   jitter.
/// * Changes that come soon after one another are [merged](Self::merge_within). One that comes after
///   a quiet time does not wait.
/// * A member that stays keeps its statistics, health and place, whatever else of it changes; and
///   its value, unless the source says something else of it.
/// * How the source is stands in the [status](crate::set::PoolStatus::sources) of the pool; what
///   changes of that, and each entry that is no good, is an [event](crate::Pool::events).
/// * The pool is held weakly. When it is dropped, the source's stream is, at once.
///
/// Several sources can feed one pool, as long as their ids differ: each takes out only what it has
/// put in. A member that is removed by hand comes back with the source's next whole set, or when it says
/// something else of it.
///
/// # Cost
///
/// Beside the pool, an entry for each member: some 100 bytes, its id not counted.
///
/// # Examples
///
/// ```
/// use evenkeel::discover::{Follow, fixed};
/// use evenkeel::http::Address;
/// use evenkeel::{Backend, Pool};
/// use std::net::SocketAddr;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let primary = fixed([Backend::new("a", SocketAddr::from(([10, 0, 0, 1], 80)))]);
/// let backup = fixed([Backend::new("b", SocketAddr::from(([10, 1, 0, 1], 80)))]);
///
/// let pool = Pool::<Address>::new();
/// let _primary = Follow::new(primary).spawn(&pool);
/// let _backup = Follow::new(backup).adjust(|backend| backend.priority(1)).spawn(&pool);
///
/// tokio::time::sleep(std::time::Duration::from_millis(1)).await;
/// assert_eq!(pool.len(), 2);
/// # });
/// ```
#[must_use = "it feeds nothing before it is given a pool"]
pub struct Follow<S: Source> {
    pub(super) source: S,
    pub(super) merge_within: Duration,
    pub(super) allow_empty: bool,
    pub(super) backoff: Backoff,
    pub(super) subset: Option<Subset>,
    pub(super) adjust: Adjust<S::Value>,
}

type Adjust<V> = Box<dyn FnMut(Backend<V>) -> Backend<V> + Send>;

impl<S: Source> Follow<S> {
    /// Follows a source, with the default settings.
    pub fn new(source: S) -> Self {
        Self {
            source,
            merge_within: Duration::from_millis(100),
            allow_empty: false,
            backoff: Backoff::default(),
            subset: None,
            adjust: Box::new(identity),
        }
    }

    /// Sets how long after a change the next ones are held back, to be published as one. Default
    /// 100 ms.
    ///
    /// A pool that changes often publishes, and each of its pickers prepares, at most once in that
    /// time. With zero nothing waits; what is there at the same moment is one change still.
    pub fn merge_within(mut self, window: Duration) -> Self {
        self.merge_within = window;
        self
    }

    /// Sets whether an empty set means that there is nobody. By default it means that something is
    /// wrong with the source, and the last good set stays.
    ///
    /// A set with some entries that are no good, and no others, is an empty set.
    pub fn allow_empty(mut self, allow: bool) -> Self {
        self.allow_empty = allow;
        self
    }

    /// Sets how long to wait before a stream that failed or ended is opened again. Default: from
    /// 100 ms to 10 s. It begins anew after a stream that has lived for longer than the longest pause.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Takes only some of the backends, for this client of many; see [`Subset`]. Default: all.
    pub fn subset(mut self, subset: Subset) -> Self {
        self.subset = Some(subset);
        self
    }

    /// Changes what the source says of each backend: its priority, say, or its zone, or its id, where
    /// several sources have the same.
    pub fn adjust(
        mut self,
        adjust: impl FnMut(Backend<S::Value>) -> Backend<S::Value> + Send + 'static,
    ) -> Self {
        self.adjust = Box::new(adjust);
        self
    }

    /// Feeds a pool on a task of its own. Dropping what this returns ends it; the pool keeps what it
    /// has.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with its time enabled.
    #[track_caller]
    pub fn spawn<T>(self, pool: &Pool<T>) -> Feeding
    where
        S::Value: Clone + PartialEq,
        T: From<S::Value> + Clone + Send + Sync + 'static,
    {
        self.spawn_with(pool, |value| T::from(value.clone()))
    }

    /// As [`spawn`](Self::spawn), with values that `make` makes of what the source says: a service
    /// for each address, such as [`Connect::to`](crate::connect::Connect::to) makes.
    ///
    /// It is called for a new member, and for one of which the source says something else.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with its time enabled.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::connect::Connect;
    /// use evenkeel::discover::{Follow, fixed};
    /// use evenkeel::{Backend, Balance, Pool};
    /// use tower::{ServiceExt, service_fn};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let connect = Connect::new(service_fn(|port: u16| async move {
    ///     Ok::<_, std::io::Error>(service_fn(move |request: u32| async move {
    ///         Ok::<_, std::io::Error>(format!("{port} answers {request}"))
    ///     }))
    /// }));
    /// let pool = Pool::new();
    /// let list = fixed([Backend::new("a", 50051)]);
    /// let _feeding = Follow::new(list).spawn_with(&pool, move |&port| connect.to(port));
    /// # tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    /// let response = Balance::least_requests(pool).oneshot(7).await.unwrap();
    /// assert_eq!(response, "50051 answers 7");
    /// # });
    /// ```
    #[track_caller]
    pub fn spawn_with<T>(
        self,
        pool: &Pool<T>,
        make: impl FnMut(&S::Value) -> T + Send + 'static,
    ) -> Feeding
    where
        S::Value: Clone + PartialEq,
        T: Clone + Send + Sync + 'static,
    {
        let driver = Driver::new(self, pool, make, S::Value::eq);
        let feeder = driver.feeder();
        spawn_listed(driver.run(), feeder)
    }

    /// Feeds a pool for as long as the future is polled. Returns why it ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the source; the pool keeps what it has.
    pub fn feed<T>(self, pool: &Pool<T>) -> impl Future<Output = Ended> + use<S, T>
    where
        S::Value: Clone + PartialEq,
        T: From<S::Value> + Clone,
    {
        self.feed_with(pool, |value| T::from(value.clone()))
    }

    /// As [`feed`](Self::feed), with values that `make` makes of what the source says; see
    /// [`spawn_with`](Self::spawn_with).
    pub fn feed_with<T, M>(
        self,
        pool: &Pool<T>,
        make: M,
    ) -> impl Future<Output = Ended> + use<S, T, M>
    where
        S::Value: Clone + PartialEq,
        T: Clone,
        M: FnMut(&S::Value) -> T,
    {
        Driver::new(self, pool, make, S::Value::eq).run()
    }
}

impl<S: Source> std::fmt::Debug for Follow<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Follow")
            .field("source", &self.source.name())
            .field("merge_within", &self.merge_within)
            .field("allow_empty", &self.allow_empty)
            .field("backoff", &self.backoff)
            .field("subset", &self.subset)
            .finish_non_exhaustive()
    }
}
