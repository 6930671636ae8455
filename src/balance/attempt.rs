use std::fmt;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tower::BoxError;
use tower_service::Service;

use super::waits::{NEVER, nanos};
use super::{Balance, Error, ResponseFuture, Route, Track};
use crate::backend::Handle;
use crate::time::now;

/// A request with a say in which backend gets it, for [`Balance::attempts`].
///
/// It can be bound to a backend, kept away from those that had it before, and given a time. A bound request goes past the picker, also to a backend that is drained or has weight 0: those
/// get no new sessions, but keep the ones that they have.
///
/// # Examples
///
/// ```
/// use evenkeel::balance::Attempt;
/// use evenkeel::{Backend, Balance, Pool};
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), evenkeel::Error> {
/// let echo = service_fn(|request: &'static str| async move { Ok::<_, std::io::Error>(request) });
/// let pool = Pool::from([Backend::new("a", echo), Backend::new("b", echo)]);
/// let attempts = Balance::round_robin(pool.clone()).attempts();
///
/// let b = pool.get("b").unwrap().handle();
/// pool.drain("b");
/// let to_b = Attempt::new("hello").to(b);
/// assert_eq!(attempts.clone().oneshot(to_b).await?, "hello");
///
/// pool.remove("b");
/// let error = attempts.oneshot(Attempt::new("hello").only(b)).await.unwrap_err();
/// assert!(error.is_no_backend());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Attempt<Req> {
    pub(super) request: Req,
    pub(super) terms: Terms,
}

/// Where an attempt may go, and what time it has.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    pub(super) bound: Option<Bound>,
    /// Those that are only asked if no other is left.
    pub(super) tried: Vec<Handle>,
    /// And not even then.
    pub(super) elsewhere: bool,
    /// In nanoseconds.
    pub(super) timeout: u64,
    pub(super) deadline: Option<Instant>,
    /// It has passed: nobody gets the request.
    pub(super) late: bool,
}

/// To which backend a request is bound, and whether another will do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) handle: Handle,
    pub(super) only: bool,
}

/// A [`Balance`] that takes [`Attempt`]s, from [`Balance::attempts`].
pub struct Attempts<T, Req, R, K> {
    balance: Balance<T, Req, R, K>,
}

impl<Req> Attempt<Req> {
    /// A request that is bound to nobody: the picker chooses.
    #[inline]
    pub fn new(request: Req) -> Self {
        Self {
            request,
            terms: Terms {
                bound: None,
                tried: Vec::new(),
                elsewhere: false,
                timeout: NEVER,
                deadline: None,
                late: false,
            },
        }
    }

    /// Binds it to a backend. If that one has left or is not ready, the picker chooses another.
    pub fn to(self, handle: Handle) -> Self {
        self.bind(Bound {
            handle,
            only: false,
        })
    }

    /// Binds it to a backend, and to no other. If that one has left, the request fails at once with
    /// [`NoBackend::Gone`](crate::picker::NoBackend::Gone).
    pub fn only(self, handle: Handle) -> Self {
        self.bind(Bound { handle, only: true })
    }

    fn bind(mut self, bound: Bound) -> Self {
        self.terms.bound = Some(bound);
        self
    }

    /// Says that a backend had the request before, so that the picker chooses among the others. If
    /// there is no other that is eligible, it may be chosen again.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::balance::Attempt;
    /// use evenkeel::{Backend, Balance, Pool};
    /// use tower::{ServiceExt, service_fn};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), evenkeel::Error> {
    /// let named = |name| service_fn(move |_request: ()| async move { Ok::<_, std::io::Error>(name) });
    /// let pool = Pool::from([Backend::new("a", named("a")), Backend::new("b", named("b"))]);
    /// let attempts = Balance::round_robin(pool.clone()).attempts();
    ///
    /// let a = pool.get("a").unwrap().handle();
    /// for _ in 0..3 {
    ///     assert_eq!(attempts.clone().oneshot(Attempt::new(()).not_on(a)).await?, "b");
    /// }
    /// pool.remove("b");
    /// assert_eq!(attempts.oneshot(Attempt::new(()).not_on(a)).await?, "a");
    /// # Ok(())
    /// # }
    /// ```
    pub fn not_on(mut self, handle: Handle) -> Self {
        self.terms.tried.push(handle);
        self
    }

    /// Fails at once rather than choose one of those that it is [not to be on](Self::not_on).
    pub fn strictly(mut self) -> Self {
        self.terms.elsewhere = true;
        self
    }

    pub(crate) fn request(&self) -> &Req {
        &self.request
    }

    pub(crate) fn request_mut(&mut self) -> &mut Req {
        &mut self.request
    }

    pub(crate) fn set_late(&mut self) {
        self.terms.late = true;
    }

    pub(crate) fn terms(&self) -> &Terms {
        &self.terms
    }

    pub(crate) fn with_terms(request: Req, terms: Terms) -> Self {
        Self { request, terms }
    }

    /// What goes for later attempts as well: all but the backend that it prefers.
    #[inline]
    pub(crate) fn later_terms(&self) -> Terms {
        Terms {
            bound: self.terms.bound.filter(|bound| bound.only),
            ..self.terms.clone()
        }
    }

    /// Sets how long its backend has for the response head, if that is less than the balance's
    /// [`attempt_timeout`](Balance::attempt_timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout = nanos(timeout);
        self
    }

    pub(crate) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.terms.deadline = deadline;
    }

    /// Sets when the caller has no more time. Waiting for a backend, or for the response head, ends
    /// then, and nobody is blamed.
    pub fn deadline(mut self, deadline: Instant) -> Self {
        self.terms.deadline = Some(deadline);
        self
    }
}

impl Terms {
    /// Whether it may go to one backend alone.
    pub(crate) fn is_bound(&self) -> bool {
        self.bound.is_some_and(|bound| bound.only)
    }

    /// Those that it is not to be on.
    pub(crate) fn tried(&self) -> &[Handle] {
        &self.tried
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

impl<T, Req, R, K> Attempts<T, Req, R, K> {
    pub(super) fn new(balance: Balance<T, Req, R, K>) -> Self {
        Self { balance }
    }

    /// Returns the balance inside.
    pub fn get_ref(&self) -> &Balance<T, Req, R, K> {
        &self.balance
    }
}

impl<T, Req, R, K> Service<Attempt<Req>> for Attempts<T, Req, R, K>
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

    fn call(&mut self, mut attempt: Attempt<Req>) -> Self::Future {
        if attempt
            .terms
            .deadline
            .is_some_and(|deadline| deadline <= now())
        {
            attempt.set_late();
        }
        self.balance.attempt(attempt)
    }
}

impl<T, Req, R: Clone, K: Clone> Clone for Attempts<T, Req, R, K> {
    fn clone(&self) -> Self {
        Self {
            balance: self.balance.clone(),
        }
    }
}

impl<T, Req, R, K> fmt::Debug for Attempts<T, Req, R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Attempts").field(&self.balance).finish()
    }
}
