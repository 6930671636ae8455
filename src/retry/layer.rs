use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower_layer::Layer;

use super::core::Settings;
use super::{Budget, Hedge, ObserveAttempts, Retry};
use crate::backend::Failure;
use crate::balance::Balance;
use crate::{Backoff, InvalidSetting};

/// Retries and hedges the requests of a [`Balance`] on another backend; see the
/// [module](super).
///
/// A retry goes to a backend that has not had the request while there is one that is eligible; then
/// one that had it may get it again.
///
/// `P` says which requests can be sent again: a closure, or a [`Repeat`](super::Repeat). All
/// services that one layer, or its clones, made share its [budget](Self::budget). Why the compiler
/// finds no `oneshot` or `call`, or no `Retryable`, is said at [`Retry`].
///
/// # Examples
///
/// ```
/// use evenkeel::retry::RetryLayer;
/// use evenkeel::{Backend, Balance};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), evenkeel::Error> {
/// let works = |works: bool| service_fn(move |_query: u64| async move {
///     if works { Ok("an answer") } else { Err("out of order") }
/// });
/// let balance = Balance::round_robin([Backend::new("a", works(true)), Backend::new("b", works(false))]);
///
/// // A query can be asked twice.
/// let service = RetryLayer::new(|_query: &u64| true).layer(balance);
/// for query in 0..4 {
///     assert_eq!(service.clone().oneshot(query).await?, "an answer");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RetryLayer<P> {
    repeat: P,
    settings: Settings,
}

impl<P> RetryLayer<P> {
    /// Up to 3 attempts, with the default [`Budget`], no limit of time, and no hedge.
    pub fn new(repeat: P) -> Self {
        Self {
            repeat,
            settings: Settings::new(),
        }
    }

    /// Sets how many attempts are made at a request, the first and hedges included. Default 3.
    ///
    /// # Errors
    ///
    /// When it is not from 1 to 100.
    pub fn attempts(mut self, attempts: u32) -> Result<Self, InvalidSetting> {
        if !(1..=100).contains(&attempts) {
            let expected = "1 to 100, the first one included";
            return Err(InvalidSetting::new(
                "number of attempts",
                attempts,
                expected,
            ));
        }
        self.settings.attempts = attempts;
        Ok(self)
    }

    /// Sets which failures are retried. Default: `Connect`, `Timeout`, `Gateway` and `Other`.
    /// [`Failure::Body`] makes no difference: by then the response has begun.
    pub fn on(mut self, failures: impl IntoIterator<Item = Failure>) -> Self {
        let rejected = self.settings.on.rejected;
        self.settings.on = failures.into_iter().collect();
        self.settings.on.rejected = rejected;
        self
    }

    /// Retries what a backend [rejected](crate::backend::Outcome::Rejected), as by 429, too. Default:
    /// it is not retried.
    pub fn on_rejected(mut self) -> Self {
        self.settings.on.rejected = true;
        self
    }

    /// Sets how long to wait between attempts. The first retry goes out at once, since it goes to
    /// another backend if there is one; from the second on there is a pause. Default: from 25 ms to
    /// 250 ms.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.settings.backoff = backoff;
        self
    }

    /// Sets how long a request may take, with all its attempts and pauses, up to the head of its
    /// response. Default: no limit, but for the deadline that a request
    /// [carries](super::Repeat::deadline). The earlier one counts.
    ///
    /// At its end the request fails with
    /// [`Error::DeadlineExceeded`](crate::Error::DeadlineExceeded), and nobody is blamed. For a
    /// hanging backend to be found, and another one to be tried in time, the balance needs an
    /// [`attempt_timeout`](Balance::attempt_timeout), too.
    pub fn total_time(mut self, time: Duration) -> Self {
        self.settings.total_time = Some(time);
        self
    }

    /// Sets the budget, which several layers may share. Default: [`Budget::new`], one of its own.
    pub fn budget(mut self, budget: Budget) -> Self {
        self.settings.budget = budget;
        self
    }

    /// Sets when to hedge. Default: never.
    pub fn hedge(mut self, hedge: Hedge) -> Self {
        self.settings.hedge = Some(Arc::new(hedge));
        self
    }

    /// Sets who is told of attempts: a closure, an [`ObserveAttempts`], or a pair of them. Default:
    /// nobody.
    pub fn observer(mut self, observer: impl ObserveAttempts + 'static) -> Self {
        self.settings.observer = Some(Arc::new(observer));
        self
    }
}

impl<S, P> Layer<S> for RetryLayer<P>
where
    S: Retryable<P>,
    P: Clone,
{
    type Service = S::Retry;

    fn layer(&self, balance: S) -> S::Retry {
        balance.retry_with(self.repeat.clone(), self.settings.clone())
    }
}

/// What can be retried on another backend: a [`Balance`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be retried on another backend",
    label = "this is no `Balance`",
    note = "`RetryLayer` goes right around a `Balance`, whose picker it asks again: put other layers outside of it, or around the backends' services"
)]
pub trait Retryable<P>: sealed::Sealed {
    /// The service that retries.
    type Retry;

    #[doc(hidden)]
    fn retry_with(self, repeat: P, settings: Settings) -> Self::Retry;
}

mod sealed {
    pub trait Sealed {}

    impl<T, Req, R, K> Sealed for crate::Balance<T, Req, R, K> {}
}

#[diagnostic::do_not_recommend]
impl<T, Req, R, K, P> Retryable<P> for Balance<T, Req, R, K> {
    type Retry = Retry<T, Req, R, K, P>;

    fn retry_with(self, repeat: P, settings: Settings) -> Self::Retry {
        Retry::new(self, repeat, settings)
    }
}

impl<P> fmt::Debug for RetryLayer<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLayer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
