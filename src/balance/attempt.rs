use std::fmt;
use std::task::{Context, Poll};

use tower::BoxError;
use tower_service::Service;

use super::{Balance, Error, ResponseFuture, Route, Track};
use crate::backend::Handle;

/// A request that may be bound to a backend, for [`Balance::attempts`].
///
/// A bound request goes past the picker, also to a backend that is drained or has weight 0: those
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
    request: Req,
    bound: Option<Bound>,
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
    pub fn new(request: Req) -> Self {
        Self {
            request,
            bound: None,
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

    fn bind(self, bound: Bound) -> Self {
        Self {
            bound: Some(bound),
            ..self
        }
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

    fn call(&mut self, attempt: Attempt<Req>) -> Self::Future {
        self.balance.call_bound(attempt.request, attempt.bound)
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
