mod floor;
#[cfg(test)]
mod tests;
mod tokens;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::floor::Floor;
use self::tokens::{ONE, SLOTS, Tokens};
use crate::InvalidSetting;
use crate::time::now;

/// The bound on retries and hedges, as a share of requests.
///
/// When a backend fails for want of capacity, each retry makes it worse: three tries a request are
/// three times the load at the worst moment. A budget bounds what retries add. Each request pays in
/// a share of a token ([`deposit`](Self::deposit)), each retry or hedge takes a whole one
/// ([`withdraw`](Self::withdraw)), and without one it is not sent.
///
/// Clones are the same budget. Share one between all who send to the same backends.
///
/// # When to use
///
/// A bound on the tries of one request says how long that request may go on; it does not help when
/// all requests fail. A budget does, and lets the few that fail at other times have their retry.
///
/// # Algorithm
///
/// There are two kinds of tokens, and each lasts for a window:
///
/// * *of requests*: the share that each deposit pays in. They go between nine tenths of a
///   window and a window after their deposit; the oldest are spent first.
/// * *of time*, the floor: so many a second, for those who send too few requests for a share of
///   them to be of use. A window of them is there at the start.
///
/// Requests' tokens are spent first: the oldest of them expire next, and with them traffic pays for
/// its own retries. The floor keeps its reserve for when requests are too few to do so.
///
/// A withdrawal takes a piece of one of two lines, of what was deposited or of time, that nobody
/// else has, by a single compare-and-swap. So for any interleaving, over the life of a budget:
///
/// ```text
/// withdrawals <= share × requests + per_second × (time + window)
/// ```
///
/// and for any part of its time, with the requests of that part and of a window before it. After a
/// window without requests only the floor is left.
///
/// The share is kept in units of 2^-32 token, rounded up, so a request is off by less than that: 0.6
/// is three in five, and ten million requests are off by less than a hundredth of a token. The
/// floor's interval is kept in sixteenths of a nanosecond, rounded up. At most a billion tokens of
/// requests are kept.
///
/// No call locks, waits or allocates. A clock that jumps ahead expires what there is. One that is
/// behind another thread's gets what that thread has left: time is what the furthest clock says for
/// requests' tokens, and gives no floor a second time.
///
/// # Examples
///
/// ```
/// use evenkeel::retry::Budget;
///
/// // Two of ten requests may be retried, and nothing else.
/// let budget = Budget::new().share(0.2)?.per_second(0.0)?;
/// for _request in 0..10 {
///     budget.deposit();
/// }
/// assert!(budget.withdraw());
/// assert!(budget.withdraw());
/// assert!(!budget.withdraw());
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
///
/// # References
///
/// Twitter Finagle, `RetryBudget.scala`: the idea, and the defaults.
#[derive(Clone)]
#[must_use]
pub struct Budget(Arc<Inner>);

struct Inner {
    tokens: Tokens,
    floor: Floor,
    start: Instant,
    /// In units of [`ONE`].
    share: u64,
    slot_ns: u64,
    settings: Settings,
}

#[derive(Clone, Copy)]
struct Settings {
    share: f64,
    per_second: f64,
    window: Duration,
}

/// The longest window.
const MAX_WINDOW: Duration = Duration::from_secs(3600);

impl Budget {
    /// A budget of 20 % of the requests and 10 a second, over a window of 10 s: Finagle's.
    pub fn new() -> Self {
        Self::of(Settings {
            share: 0.2,
            per_second: 10.0,
            window: Duration::from_secs(10),
        })
    }

    /// Sets the share of the requests that may be sent again: 0.2, the default, is a fifth of them,
    /// 2 is two retries for each.
    ///
    /// This makes a new budget, which knows nothing of the requests so far: set it first, then clone.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 100.
    pub fn share(self, share: f64) -> Result<Self, InvalidSetting> {
        if !(0.0..=100.0).contains(&share) {
            let expected = "0 to 100 (1 is one for each request)";
            return Err(InvalidSetting::new("retry share", share, expected));
        }
        let settings = self.0.settings;
        Ok(Self::of(Settings { share, ..settings }))
    }

    /// Sets the floor: how many a second may be sent again however few requests there are. Default
    /// 10.
    ///
    /// What is not used gathers for a [`window`](Self::window), or for as long as one takes to come
    /// if that is longer. With 0 there is no floor: a client's first request is then never retried,
    /// if the share is less than 1.
    ///
    /// This makes a new budget, which knows nothing of the requests so far: set it first, then clone.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to a billion.
    pub fn per_second(self, per_second: f64) -> Result<Self, InvalidSetting> {
        if !(0.0..=1e9).contains(&per_second) {
            let expected = "0 to 1000000000";
            return Err(InvalidSetting::new(
                "retries a second",
                per_second,
                expected,
            ));
        }
        let settings = self.0.settings;
        Ok(Self::of(Settings {
            per_second,
            ..settings
        }))
    }

    /// Sets how long a token lasts that nobody uses. Default 10 s.
    ///
    /// A longer window lets more retries be sent in one go after a time without any.
    ///
    /// This makes a new budget, which knows nothing of the requests so far: set it first, then clone.
    ///
    /// # Errors
    ///
    /// When it is not from 1 s to 1 hour.
    pub fn window(self, window: Duration) -> Result<Self, InvalidSetting> {
        if !(Duration::from_secs(1)..=MAX_WINDOW).contains(&window) {
            let given = format_args!("{window:?}");
            return Err(InvalidSetting::new(
                "retry window",
                given,
                "1 second to 1 hour",
            ));
        }
        let settings = self.0.settings;
        Ok(Self::of(Settings { window, ..settings }))
    }

    fn of(settings: Settings) -> Self {
        Self::starting(settings, now())
    }

    fn starting(settings: Settings, start: Instant) -> Self {
        let Settings {
            share,
            per_second,
            window,
        } = settings;
        Self(Arc::new(Inner {
            tokens: Tokens::new(),
            floor: Floor::new(per_second, window),
            start,
            share: (share * ONE as f64).ceil() as u64,
            slot_ns: window.as_nanos() as u64 / SLOTS,
            settings,
        }))
    }

    /// Pays in for a request: once for each, not for its retries.
    #[inline]
    pub fn deposit(&self) {
        self.deposit_at(now());
    }

    /// Takes a token for a retry or a hedge, if there is one: once before each, and before the
    /// back-off, if it has one. Without one it must not be sent.
    ///
    /// A token is not given back. One that was taken for a retry that was then not sent is lost.
    #[inline]
    #[must_use = "without a token the retry must not be sent"]
    pub fn withdraw(&self) -> bool {
        self.withdraw_at(now())
    }

    /// The tokens that are left, of requests and of time, with their fractions.
    ///
    /// A withdrawal needs a whole one of either kind.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::retry::Budget;
    ///
    /// let budget = Budget::new().share(0.5)?.per_second(0.0)?;
    /// budget.deposit();
    /// assert_eq!(budget.available(), 0.5);
    /// # Ok::<(), evenkeel::InvalidSetting>(())
    /// ```
    pub fn available(&self) -> f64 {
        self.available_at(now())
    }

    /// As [`deposit`](Self::deposit), for who has read the clock.
    #[inline]
    pub(crate) fn deposit_at(&self, now: Instant) {
        let budget = &*self.0;
        let slot = budget.elapsed(now) / budget.slot_ns;
        budget.tokens.deposit(budget.share, slot);
    }

    /// As [`withdraw`](Self::withdraw), for who has read the clock.
    #[inline]
    pub(crate) fn withdraw_at(&self, now: Instant) -> bool {
        let budget = &*self.0;
        let elapsed = budget.elapsed(now);
        budget.tokens.withdraw(elapsed / budget.slot_ns) || budget.floor.withdraw(elapsed)
    }

    fn available_at(&self, now: Instant) -> f64 {
        let budget = &*self.0;
        let elapsed = budget.elapsed(now);
        let of_requests = budget.tokens.left(elapsed / budget.slot_ns);
        of_requests as f64 / ONE as f64 + budget.floor.left(elapsed)
    }
}

impl Inner {
    /// In nanoseconds.
    #[inline]
    fn elapsed(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_nanos() as u64
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::new()
    }
}

/// For tower's own retry policies.
impl tower::retry::budget::Budget for Budget {
    fn deposit(&self) {
        self.deposit_at(now());
    }

    fn withdraw(&self) -> bool {
        self.withdraw_at(now())
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Settings {
            share,
            per_second,
            window,
        } = self.0.settings;
        f.debug_struct("Budget")
            .field("share", &share)
            .field("per_second", &per_second)
            .field("window", &window)
            .field("available", &self.available())
            .finish()
    }
}
