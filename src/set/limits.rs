use std::sync::Arc;
use std::time::Duration;

use crate::InvalidSetting;
use crate::backend::{AdaptiveLimit, MaxInFlight};

/// How many requests a backend takes at once, and how many wait for room.
///
/// # Rules
///
/// The limit is exact: of all requests of all balances over the pool, no more are in flight at a
/// backend, up to the end of their responses. The permit is taken between pick and call; a backend
/// that is full is passed over and the picker asked again among those that are not.
///
/// When all that are eligible are full, a [balance](crate::Balance)'s requests wait in one queue for
/// the whole pool, and newcomers behind them. A response that ends calls the next in line, who picks
/// again. A request waits for [`max_wait`](crate::Balance::max_wait) at most, and not beyond its
/// deadline, and then fails with [`Error::Overloaded`](crate::Error::Overloaded); so it does at once
/// when the queue is full. A request that has to go to a certain backend, or elsewhere than to some
/// (it is bound to one, or is a retry), waits in a second queue of the same length, so that it holds
/// up nobody. Room is offered to the first of both, so under an overload one of the second queue may
/// get it before the first of the other, though it came later.
///
/// Without tower nobody waits: [`Selector::select`](crate::picker::Selector::select) says at once
/// that all are full.
///
/// # Slow start
///
/// While a backend [starts slowly](super::SlowStart), its limit is that part of it, and 1 at least.
/// So it is, at a tenth, while one asks to be spared, by a 429 or a `Retry-After`, and its health is
/// watched ([`Ejection::spare`](crate::health::Ejection::spare)).
/// Those who wait look for the room that this makes about every 100 ms.
///
/// # Tiers and zones
///
/// A list of backends that gets a part of the requests takes those of another that is full. A later
/// tier, or another zone, that gets none because those before it have the capacity is not asked.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::AdaptiveLimit;
/// use evenkeel::set::{Limits, Rules};
/// use evenkeel::{Backend, Pool};
///
/// let pool = Pool::from([Backend::new("a", ()), Backend::new("small", ()).max_in_flight(10)]);
/// pool.set_rules(Rules::new().limits(Limits::new().max_in_flight(100).queue(500)));
///
/// // Or let each backend find its own.
/// let limits = Limits::new().adaptive(AdaptiveLimit::gradient().bounds(5, 200)?);
/// pool.set_rules(Rules::new().limits(limits));
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Limits {
    each: Option<MaxInFlight>,
    queue: u32,
    newest_first: bool,
    retry_after: Duration,
}

impl Limits {
    /// No limit but those that backends [name](crate::Backend::max_in_flight); a queue of 1024, in
    /// the order of arrival.
    pub fn new() -> Self {
        Self {
            each: None,
            queue: 1024,
            newest_first: false,
            retry_after: Duration::from_secs(1),
        }
    }

    /// Sets how many requests each backend takes at once that does not name a limit of its own.
    /// Default: no limit.
    pub fn max_in_flight(mut self, max: u32) -> Self {
        self.each = Some(MaxInFlight::Fixed(max));
        self
    }

    /// Lets each backend that does not name a limit of its own find one by what becomes of its
    /// requests.
    pub fn adaptive(mut self, limit: AdaptiveLimit) -> Self {
        self.each = Some(MaxInFlight::Adaptive(Arc::new(limit)));
        self
    }

    /// Sets how many requests may wait. Default 1024, as Envoy's pending requests. With 0 they fail
    /// at once when all backends are full.
    pub fn queue(mut self, length: u32) -> Self {
        self.queue = length;
        self
    }

    /// Serves those that have waited least first: under a long overload, some requests are answered
    /// in time and others not at all, instead of all of them late. Default: in the order of arrival.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Sets what [`Error::retry_after`](crate::Error::retry_after) tells those who were turned away,
    /// and so a 503's `Retry-After`. Default 1 s.
    ///
    /// # Errors
    ///
    /// When it is longer than a day.
    pub fn retry_after(mut self, after: Duration) -> Result<Self, InvalidSetting> {
        if after > Duration::from_secs(24 * 3600) {
            let given = format_args!("{after:?}");
            return Err(InvalidSetting::new(
                "time to retry after",
                given,
                "at most a day",
            ));
        }
        self.retry_after = after;
        Ok(self)
    }

    /// That of a backend with a limit of its own, perhaps.
    pub(super) fn of(&self, own: Option<u32>) -> Option<MaxInFlight> {
        own.map(MaxInFlight::Fixed).or_else(|| self.each.clone())
    }

    pub(super) fn line(&self) -> (u32, bool) {
        (self.queue, self.newest_first)
    }

    #[cfg(feature = "tower")]
    pub(crate) fn wait_told(&self) -> Duration {
        self.retry_after
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}
