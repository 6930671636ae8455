use std::time::{Duration, Instant};

use http::header::{HeaderName, HeaderValue};
use http::{Method, Request};
use http_body::Body;

use super::ReplayBody;
use super::deadline::{deadline, is_grpc, tell_time_left};
use crate::balance::Awaited;
use crate::deadline::Deadline;
use crate::retry::Repeat;

/// Repeats HTTP requests whose method is idempotent, or that are marked as
/// [idempotent](Idempotent).
///
/// Idempotent methods are GET, HEAD, OPTIONS, TRACE, PUT and DELETE (RFC 9110, 9.2.2). Others, such
/// as POST, are sent again only if they never left. A body is sent again if all that was read of it
/// is [kept](ReplayBody::can_replay), and beside itself, for a hedge, if it is
/// [whole](ReplayBody::is_whole). While its caller is [waited for](ReplayBody::awaited), no backend is
/// given up by an [`attempt_timeout`](crate::Balance::attempt_timeout).
///
/// A request's [deadline](super::HttpDeadline) is heeded and passed on with each attempt. gRPC
/// requests tell in `grpc-previous-rpc-attempts` that they were sent before.
///
/// # Examples
///
/// ```
/// use evenkeel::http::{BalanceLayer, ByMethod, ReplayBody, ReplayLayer};
/// use evenkeel::retry::RetryLayer;
/// use evenkeel::Pool;
/// use http::{Request, Response};
/// use tower::{ServiceBuilder, service_fn};
/// # use http_body_util::Full;
/// # use bytes::Bytes;
///
/// type Body = ReplayBody<Full<Bytes>>;
/// let client = service_fn(|_request: Request<Body>| async {
///     Ok::<_, std::io::Error>(Response::new(String::new()))
/// });
/// let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"])?;
/// let client = ServiceBuilder::new()
///     .layer(ReplayLayer::new())
///     .layer(RetryLayer::new(ByMethod::new()))
///     .layer(BalanceLayer::<Body>::least_requests(pool))
///     .service(client);
/// # let _ = client;
/// # Ok::<(), evenkeel::http::InvalidAddress>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct ByMethod {
    _room: (),
}

/// In a request's extensions: to send it twice does no more than to send it once, whatever its
/// method.
///
/// # Examples
///
/// ```
/// use evenkeel::http::Idempotent;
///
/// let mut request = http::Request::post("/orders?key=7e1f").body(()).unwrap();
/// request.extensions_mut().insert(Idempotent);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Idempotent;

impl ByMethod {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<B: Body> Repeat<Request<ReplayBody<B>>> for ByMethod {
    #[inline]
    fn copy(&self, request: &Request<ReplayBody<B>>) -> Option<Request<ReplayBody<B>>> {
        Some(request.clone())
    }

    #[inline]
    fn is_safe(&self, request: &Request<ReplayBody<B>>) -> bool {
        *request.method() == Method::GET
            || request.method().is_idempotent()
            || request.extensions().get::<Idempotent>().is_some()
    }

    fn can_send(&self, copy: &Request<ReplayBody<B>>) -> bool {
        copy.body().can_replay()
    }

    fn can_send_beside(&self, copy: &Request<ReplayBody<B>>) -> bool {
        copy.body().is_whole()
    }

    fn awaited(&self, copy: &Request<ReplayBody<B>>) -> Awaited {
        copy.body().awaited()
    }

    #[inline]
    fn deadline(&self, request: &Request<ReplayBody<B>>) -> Option<Instant> {
        deadline(request.extensions(), request.headers())
    }

    #[inline]
    fn prepare(
        &self,
        request: &mut Request<ReplayBody<B>>,
        attempt: u32,
        time_left: Option<Duration>,
    ) {
        if attempt > 0 && is_grpc(request.headers()) {
            const ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");
            request
                .headers_mut()
                .insert(ATTEMPTS, HeaderValue::from(attempt));
        }
        if let Some(left) = time_left {
            tell_time_left(request.headers_mut(), left);
            if let Some(deadline) = request.extensions_mut().get_mut() {
                *deadline = Deadline::after(left).min(*deadline);
            }
        }
    }
}
