use tower_service::Service;

/// How a backend's value becomes the service that is given the request.
///
/// [`Direct`] says: the value *is* the service. [`Via`](crate::http::Via) says: the value is an
/// address, and one client serves them all.
///
/// # Examples
///
/// A pool of shard numbers, with one connection that takes the number along:
///
/// ```
/// use evenkeel::balance::Route;
/// use std::future::{Ready, ready};
/// use std::task::{Context, Poll};
/// use tower::Service;
///
/// #[derive(Clone)]
/// struct Connection {
///     shard: u32,
/// }
///
/// impl Service<String> for Connection {
///     type Response = String;
///     type Error = std::io::Error;
///     type Future = Ready<Result<String, std::io::Error>>;
///
///     fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
///         Poll::Ready(Ok(()))
///     }
///     fn call(&mut self, request: String) -> Self::Future {
///         ready(Ok(format!("shard {}: {request}", self.shard)))
///     }
/// }
///
/// #[derive(Clone)]
/// struct ToShard;
///
/// impl Route<u32, String> for ToShard {
///     type Service = Connection;
///
///     fn route(&self, shard: &u32) -> Connection {
///         Connection { shard: *shard }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a backend of type `{T}` cannot serve a `{Req}`",
    label = "`{Self}` has no service for this backend and request",
    note = "a pool of services needs `{T}: Service<{Req}> + Clone`; a service that is not `Clone` can be wrapped in `tower::buffer::Buffer`",
    note = "a pool of addresses needs a client around which to put `BalanceLayer`"
)]
pub trait Route<T, Req> {
    /// The service for one request.
    type Service: Service<Req>;

    /// Returns the service for a request to the backend with this value.
    fn route(&self, value: &T) -> Self::Service;
}

/// The backends of the pool are services themselves. One clone is made for each attempt.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct;

#[diagnostic::do_not_recommend]
impl<S, Req> Route<S, Req> for Direct
where
    S: Service<Req> + Clone,
{
    type Service = S;

    #[inline]
    fn route(&self, service: &S) -> S {
        service.clone()
    }
}
