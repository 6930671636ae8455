use std::task::{Context, Poll};

use http::Request;
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;

use super::{DEFAULT_MAX_BYTES, ReplayBody};

/// Makes the bodies of requests [`ReplayBody`]s, so that requests can be cloned and sent again.
///
/// # When to use
///
/// Around what sends a request more than once, and that only: it takes requests with any body, and
/// its service takes requests that are `Clone`.
///
/// # Examples
///
/// ```
/// use evenkeel::http::{ReplayBody, ReplayLayer};
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// // A retry layer would be here.
/// let twice = service_fn(|request: Request<ReplayBody<Full<&'static [u8]>>>| async move {
///     let again = request.clone();
///     let first = request.into_body().collect().await?.to_bytes();
///     let second = again.into_body().collect().await?.to_bytes();
///     Ok::<_, BoxError>(Response::new(first == second))
/// });
///
/// let service = ServiceBuilder::new().layer(ReplayLayer::new()).service(twice);
/// let request = Request::post("/").body(Full::new("text".as_bytes()))?;
/// assert!(service.oneshot(request).await?.into_body());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ReplayLayer {
    max_bytes: usize,
}

/// A service that hands on requests with a [`ReplayBody`]; made by [`ReplayLayer`].
///
/// Its future is that of the service inside.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct Replay<S> {
    service: S,
    max_bytes: usize,
}

impl ReplayLayer {
    /// Creates the layer, which keeps up to 64 KiB of each body.
    pub fn new() -> Self {
        Self {
            max_bytes: DEFAULT_MAX_BYTES,
        }
    }

    /// Sets how much of a body is kept, in bytes. Default: 64 KiB.
    ///
    /// With 0, a body that is not empty can be sent again only if it was not read at all.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }
}

impl Default for ReplayLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Replay<S> {
    /// Wraps a service; up to 64 KiB of each body are kept.
    pub fn new(service: S) -> Self {
        ReplayLayer::new().layer(service)
    }
}

impl<S> Layer<S> for ReplayLayer {
    type Service = Replay<S>;

    fn layer(&self, service: S) -> Replay<S> {
        Replay {
            service,
            max_bytes: self.max_bytes,
        }
    }
}

impl<S, B> Service<Request<B>> for Replay<S>
where
    S: Service<Request<ReplayBody<B>>>,
    B: Body,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let max_bytes = self.max_bytes;
        let wrap = |body| ReplayBody::with_max_bytes(body, max_bytes);
        self.service.call(request.map(wrap))
    }
}
