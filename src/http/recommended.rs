use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use tower::{BoxError, ServiceBuilder};
use tower_service::Service;

use super::deadline::deadline;
use super::replay::DEFAULT_MAX_BYTES;
use super::{ByMethod, Classify, HttpResponses, OnBodyEnd, ReplayBody, UntilBodyEnd};
use crate::backend::Value;
use crate::balance::{Balance, Error, Route};
use crate::deadline::Deadline;
use crate::health::{Ejection, Health, Watching};
use crate::limit::{Limit, LimitLayer};
use crate::retry::{Retry, RetryLayer};
use crate::set::Pool;

/// Builds the recommended stack around a balance: what a proxy or a client needs so that a backend
/// that fails, hangs, or is overloaded is not seen from outside.
///
/// ```text
/// request ─> Replay ─> Limit ─> Retry ─> Balance ─> backend
///              │         │        │         │
///              │         │        │         └ attempt_timeout 5 s, unless it has one; ejection
///              │         │        └ 3 attempts on other backends, budget 20 % + 10 a second, 30 s in all
///              │         └ 1024 requests in flight to the ends of their bodies, a queue of 1024 for 1 s
///              └ bodies up to 64 KiB can be sent again
/// ```
///
/// That is [`ReplayLayer::new`](super::ReplayLayer::new), [`LimitLayer::new`]`(1024)` counted to the body's end,
/// [`RetryLayer::new`]`(`[`ByMethod`]`)` with a [`total_time`](RetryLayer::total_time) of 30 s, and
/// [`Balance::attempt_timeout`] of 5 s. Retries go to a backend that has not had the request while
/// there is one that is eligible; then one that had it may get it again. The pool is watched by [`Ejection`] from the first request
/// on, unless its health is [watched](Health) already: after 5 failures in a row a backend is left
/// alone for 5 s, doubled each time; up to half of the pool. It suits pools from two backends on.
/// What else is set on the balance and the pool stays: the picker, limits of single backends,
/// probes, slow start.
///
/// For other numbers put the layers together yourself: the [guide](crate::guide::high_availability)
/// has the code.
///
/// # The client's body type
///
/// For requests with a body `B` the client, or the backends' services, take a [`ReplayBody<B>`].
/// Leave it to be inferred (`Client::builder(…).build_http()`), or name it as that: a client that is
/// annotated otherwise, as `build_http::<B>()`, gives an error about [`ReplayBody`], or that there is
/// no `oneshot`.
///
/// # Cost
///
/// For a request that goes well and has no body: no allocation, and about 115 ns beside the copy of
/// the request that is kept for a retry.
///
/// # Examples
///
/// ```
/// use evenkeel::Pool;
/// use evenkeel::http::{BalanceLayer, recommended};
/// use http::{Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
/// # use evenkeel::http::ReplayBody;
/// # use http_body_util::Empty;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Any HTTP client: hyper-util's, or this one, to which only the second address answers.
/// let client = service_fn(|request: Request<ReplayBody<Empty<&'static [u8]>>>| async move {
///     match request.uri().host() {
///         Some("10.0.0.1") => Err(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)),
///         _ => Ok(Response::new("hello".to_owned())),
///     }
/// });
/// let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"])?;
/// let service = recommended(BalanceLayer::least_requests(pool).layer(client));
///
/// for _ in 0..10 {
///     let request = Request::get("http://shop.example/cart").body(Empty::new())?;
///     let response = service.clone().oneshot(request).await?;
///     assert_eq!(response.into_body().get_ref().get_ref(), "hello");
/// }
/// # Ok(())
/// # }
/// ```
pub fn recommended<T, B, R, C>(
    balance: Balance<T, Request<ReplayBody<B>>, R, OnBodyEnd<C>>,
) -> Recommended<T, B, R, C>
where
    T: Value,
{
    recommended_with(balance, |retry| retry)
}

/// The same as [`recommended`], with more said of the retries: an observer, a hedge, a budget that is
/// shared.
///
/// # Examples
///
/// ```
/// use evenkeel::Pool;
/// use evenkeel::balance::Attempted;
/// use evenkeel::http::{BalanceLayer, ReplayBody, recommended_with};
/// use tower::Layer;
/// # use http::{Request, Response};
/// # use http_body_util::Empty;
/// # type Body = ReplayBody<Empty<&'static [u8]>>;
/// # let client = tower::service_fn(|_request: Request<Body>| async {
/// #     Ok::<_, std::io::Error>(Response::new(String::new()))
/// # });
///
/// let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"])?;
/// let balance = BalanceLayer::<Body>::least_requests(pool).layer(client);
/// let service = recommended_with(balance, |retry| {
///     retry.observer(|attempts: &[Attempted]| println!("{} attempts", attempts.len()))
/// });
/// # let _ = service;
/// # Ok::<(), evenkeel::http::InvalidAddress>(())
/// ```
pub fn recommended_with<T, B, R, C>(
    balance: Balance<T, Request<ReplayBody<B>>, R, OnBodyEnd<C>>,
    retry: impl FnOnce(RetryLayer<ByMethod>) -> RetryLayer<ByMethod>,
) -> Recommended<T, B, R, C>
where
    T: Value,
{
    let mut numbers = Numbers::default();
    numbers.retry = retry(numbers.retry);
    numbers.stack(balance)
}

/// What the layers of the stack are told. Default: what [`recommended`] documents.
#[derive(Clone, Debug)]
pub(crate) struct Numbers {
    pub(crate) limit: LimitLayer,
    pub(crate) retry: RetryLayer<ByMethod>,
    /// For balances that have none of their own.
    pub(crate) attempt_timeout: Option<Duration>,
    /// So much of a request's body is kept.
    pub(crate) max_bytes: usize,
    pub(crate) ejection: Ejection,
}

impl Numbers {
    /// Puts the stack around a balance.
    pub(crate) fn stack<T, B, R, C>(
        self,
        balance: Balance<T, Request<ReplayBody<B>>, R, OnBodyEnd<C>>,
    ) -> Recommended<T, B, R, C>
    where
        T: Value,
    {
        let pool = balance.pool().clone();
        let balance = match self.attempt_timeout {
            Some(timeout) => balance.attempt_timeout_if_none(timeout),
            None => balance,
        };
        let stack = ServiceBuilder::new()
            .layer(self.limit.count_to_body_end())
            .layer(self.retry)
            .service(balance);
        Recommended {
            shared: Arc::new(Shared {
                stack,
                pool,
                max_bytes: self.max_bytes,
                ejection: self.ejection,
                watching: Mutex::new(None),
            }),
        }
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self {
            limit: limit(),
            retry: RetryLayer::new(ByMethod::new()).total_time(Duration::from_secs(30)),
            attempt_timeout: Some(Duration::from_secs(5)),
            max_bytes: DEFAULT_MAX_BYTES,
            ejection: ejection(),
        }
    }
}

/// The recommended stack around a balance, built by [`recommended`].
///
/// Clones share everything. When the last one is dropped, the pool is not watched any more.
///
/// # Cancel safety
///
/// A response future can be dropped at any point. Whatever was counted for it is counted back.
///
/// # Errors
///
/// Those of [`Error`]; [`into_http_responses`](Self::into_http_responses) makes them responses.
pub struct Recommended<T, B, R, C> {
    shared: Arc<Shared<T, B, R, C>>,
}

/// All in one, so that a clone costs one reference count.
struct Shared<T, B, R, C> {
    stack: Stack<T, B, R, C>,
    pool: Pool<T>,
    max_bytes: usize,
    ejection: Ejection,
    /// The watch that was begun here.
    watching: Mutex<Option<Watching>>,
}

type Stack<T, B, R, C> = Limit<Retrying<T, B, R, C>, UntilBodyEnd>;
type Retrying<T, B, R, C> = Retry<T, Request<ReplayBody<B>>, R, OnBodyEnd<C>, ByMethod>;

impl<T: Value, B, R, C> Shared<T, B, R, C> {
    #[cold]
    fn watch(&self) {
        // Without a runtime there is nobody to watch; the next request may come with one.
        if tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let mut watching = self.watching.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.pool.is_watched() {
            *watching = Some(
                Health::new()
                    .ejection(self.ejection.clone())
                    .spawn(&self.pool),
            );
        }
    }
}

fn limit() -> LimitLayer {
    LimitLayer::new(1024).expect("it is a valid limit")
}

/// For pools of two and more.
fn ejection() -> Ejection {
    let ejection = Ejection::new().base_time(Duration::from_secs(5));
    let ejection = ejection.and_then(|ejection| ejection.max_ejected(0.5));
    ejection.expect("these are valid settings")
}

impl<T, B, R, C> Recommended<T, B, R, C> {
    /// Turns errors into HTTP responses; see [`HttpResponses`].
    pub fn into_http_responses(self) -> HttpResponses<Self> {
        HttpResponses::new(self)
    }

    /// Returns the pool.
    pub fn pool(&self) -> &Pool<T> {
        &self.shared.pool
    }
}

impl<T, B, R, C, RB> Service<Request<B>> for Recommended<T, B, R, C>
where
    T: Value,
    B: Body,
    R: Route<T, Request<ReplayBody<B>>> + Clone,
    R::Service: Service<Request<ReplayBody<B>>, Response = Response<RB>>,
    <R::Service as Service<Request<ReplayBody<B>>>>::Error: Into<BoxError>,
    RB: Body<Error: 'static>,
    C: Classify,
{
    type Response = <Stack<T, B, R, C> as Service<Request<ReplayBody<B>>>>::Response;
    type Error = Error;
    type Future = <Stack<T, B, R, C> as Service<Request<ReplayBody<B>>>>::Future;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = &*self.shared;
        // One that was begun elsewhere may have ended.
        if !shared.pool.is_watched() {
            shared.watch();
        }
        let mut request = request.map(|body| ReplayBody::with_max_bytes(body, shared.max_bytes));
        let deadline = deadline(request.extensions(), request.headers());
        if let Some(deadline) = deadline {
            // It has begun, whatever the request waits for.
            request.extensions_mut().insert(Deadline::at(deadline));
        }
        shared.stack.call_shared(request, deadline, Retry::start)
    }
}

impl<T, B, R, C> Clone for Recommended<T, B, R, C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<T, B, R, C> fmt::Debug for Recommended<T, B, R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recommended").finish_non_exhaustive()
    }
}
