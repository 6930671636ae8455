use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower::BoxError;
use tower_service::Service;

use super::core::{Core, Settings};
use super::{Repeat, RetryFuture};
use crate::balance::{Attempt, Balance, Direct, Error, OnResponse, Route, Track};
use crate::set::Pool;

/// A [`Balance`] whose requests are retried and hedged on another backend, made by a
/// [`RetryLayer`](super::RetryLayer).
///
/// Clones share everything; a clone costs one reference count.
///
/// # Cancel safety
///
/// A response future can be dropped at any point: its attempts are cancelled, and counted back. The
/// budget's token is not given back.
///
/// # Errors
///
/// The last attempt's [`Error`], which [lists](Error::attempts) all attempts. A response that says
/// that it failed and is not retried is the response.
///
/// # `oneshot` does not exist?
///
/// The compiler says so when this is no service for the request. It is one when the balance inside
/// is one ([see there](Balance#oneshot-does-not-exist)), and when the request can be sent again:
///
/// * With a closure, requests have to be `Clone`.
/// * With [`ByMethod`](crate::http::ByMethod), they have to be `http::Request<ReplayBody<B>>`. Put a
///   [`ReplayLayer`](crate::http::ReplayLayer) outside, which makes them of requests with any body,
///   and let the backends' services, or the client, take a
///   [`ReplayBody<B>`](crate::http::ReplayBody).
///
/// "cannot be retried on another backend" (`Retryable` is not implemented) means that there is a
/// layer between the [`RetryLayer`](super::RetryLayer) and the balance. It goes outside of the
/// retry, if it is about the request as a whole, or around the backends' services, or the client,
/// if it is about each attempt:
///
/// ```
/// use evenkeel::Pool;
/// use evenkeel::http::{BalanceLayer, ByMethod, ReplayBody, ReplayLayer};
/// use evenkeel::limit::LimitLayer;
/// use evenkeel::retry::RetryLayer;
/// use http::{Request, Response};
/// use http_body_util::Empty;
/// use tower::util::MapRequestLayer;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// type Body = ReplayBody<Empty<&'static [u8]>>;
/// let client = service_fn(|request: Request<Body>| async move {
///     Ok::<_, std::io::Error>(Response::new(request.headers().contains_key("x-signature").to_string()))
/// });
/// let sign = MapRequestLayer::new(|mut request: Request<Body>| {
///     request.headers_mut().insert("x-signature", "of this attempt".parse().unwrap());
///     request
/// });
/// let service = ServiceBuilder::new()
///     .layer(ReplayLayer::new())
///     .layer(LimitLayer::new(100)?) // once for a request
///     .layer(RetryLayer::new(ByMethod::new()))
///     // nothing in between
///     .layer(BalanceLayer::least_requests(Pool::of_addresses(["10.0.0.1:80"])?))
///     .layer(sign) // once for an attempt
///     .service(client);
///
/// let response = service.oneshot(Request::get("http://shop.example/").body(Empty::new())?).await?;
/// assert_eq!(response.body().get_ref(), "true");
/// # Ok(())
/// # }
/// ```
pub struct Retry<T, Req, R = Direct, K = OnResponse, P = fn(&Req) -> bool> {
    core: Arc<Core<T, Req, R, K, P>>,
}

/// A [`Retry`] that takes [`Attempt`]s, from [`Retry::attempts`].
pub struct RetryAttempts<T, Req, R = Direct, K = OnResponse, P = fn(&Req) -> bool> {
    retry: Retry<T, Req, R, K, P>,
}

impl<T, Req, R, K, P> Retry<T, Req, R, K, P> {
    pub(super) fn new(balance: Balance<T, Req, R, K>, repeat: P, settings: Settings) -> Self {
        Self {
            core: Arc::new(Core {
                balance,
                repeat,
                settings,
            }),
        }
    }

    /// Returns the service of [`Attempt`]s: requests that may ask for a backend. That goes for the
    /// first attempt; later ones go elsewhere, unless they may
    /// [only](Attempt::only) go to that one.
    pub fn attempts(self) -> RetryAttempts<T, Req, R, K, P> {
        RetryAttempts { retry: self }
    }

    /// Returns the balance inside.
    pub fn get_ref(&self) -> &Balance<T, Req, R, K> {
        &self.core.balance
    }

    #[inline]
    pub(crate) fn start(&self, request: Req) -> RetryFuture<T, Req, R, K, P>
    where
        R: Route<T, Req> + Clone,
        <R::Service as Service<Req>>::Error: Into<BoxError>,
        K: Track<<R::Service as Service<Req>>::Response> + Clone,
        P: Repeat<Req>,
    {
        RetryFuture::new(&self.core, Attempt::new(request))
    }

    /// Returns the pool.
    pub fn pool(&self) -> &Pool<T> {
        self.core.balance.pool()
    }
}

impl<T, Req, R, K, P> Service<Req> for Retry<T, Req, R, K, P>
where
    R: Route<T, Req> + Clone,
    <R::Service as Service<Req>>::Error: Into<BoxError>,
    K: Track<<R::Service as Service<Req>>::Response> + Clone,
    P: Repeat<Req>,
{
    type Response = K::Response;
    type Error = Error;
    type Future = RetryFuture<T, Req, R, K, P>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        self.start(request)
    }
}

impl<T, Req, R, K, P> Service<Attempt<Req>> for RetryAttempts<T, Req, R, K, P>
where
    R: Route<T, Req> + Clone,
    <R::Service as Service<Req>>::Error: Into<BoxError>,
    K: Track<<R::Service as Service<Req>>::Response> + Clone,
    P: Repeat<Req>,
{
    type Response = K::Response;
    type Error = Error;
    type Future = RetryFuture<T, Req, R, K, P>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt<Req>) -> Self::Future {
        RetryFuture::new(&self.retry.core, attempt)
    }
}

impl<T, Req, R, K, P> Clone for Retry<T, Req, R, K, P> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
        }
    }
}

impl<T, Req, R, K, P> Clone for RetryAttempts<T, Req, R, K, P> {
    fn clone(&self) -> Self {
        Self {
            retry: self.retry.clone(),
        }
    }
}

impl<T, Req, R, K, P> fmt::Debug for Retry<T, Req, R, K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("balance", &self.core.balance)
            .field("settings", &self.core.settings)
            .finish_non_exhaustive()
    }
}

impl<T, Req, R, K, P> fmt::Debug for RetryAttempts<T, Req, R, K, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RetryAttempts").field(&self.retry).finish()
    }
}
