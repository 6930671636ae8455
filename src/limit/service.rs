use std::sync::Arc;
use std::task::{Context, Poll};
#[cfg(feature = "http")]
use std::time::Instant;

use tower_service::Service;

use super::layer::Settings;
use super::permit::Shared;
use super::waiting::Waiting;
use super::{Hold, Overloaded, ResponseFuture, UntilResponse};

/// A service behind a [`LimitLayer`](super::LimitLayer).
///
/// It is ready when the inner service is. Where there is room, that is called at once. Otherwise
/// the future waits for room, with the service that was ready, and a clone of that takes its place
/// here. So whatever the inner service reserves in `poll_ready` stays reserved meanwhile; a
/// [`Balance`](crate::Balance) reserves nothing.
///
/// # Errors
///
/// Those of the inner service, whose type has to take in an [`Overloaded`]: this crate's
/// [`Error`](crate::Error) and `tower::BoxError` do.
///
/// # Examples
///
/// See [the module](super).
#[derive(Clone, Debug)]
pub struct Limit<S, H = UntilResponse> {
    service: S,
    shared: Arc<Shared>,
    settings: Settings<H>,
}

impl<S, H> Limit<S, H> {
    pub(super) fn new(service: S, shared: Arc<Shared>, settings: Settings<H>) -> Self {
        Self {
            service,
            shared,
            settings,
        }
    }

    /// Returns the service inside.
    pub fn get_ref(&self) -> &S {
        &self.service
    }
}

impl<S: Clone, H> Limit<S, H> {
    /// A call of a service that is always ready, and can be called without a clone of its own.
    #[cfg(feature = "http")]
    #[inline]
    pub(crate) fn call_shared<Req>(
        &self,
        request: Req,
        deadline: Option<Instant>,
        call: impl FnOnce(&S, Req) -> S::Future,
    ) -> ResponseFuture<S, Req, H>
    where
        S: Service<Req>,
        H: Hold<S::Response> + Clone,
    {
        let hold = self.settings.hold.clone();
        if let Some(permit) = self.shared.enter_at_once() {
            return ResponseFuture::called(call(&self.service, request), permit, hold);
        }
        let shared = Arc::clone(&self.shared);
        let mut waiting = Waiting::new(self.service.clone(), request, shared, &self.settings);
        if let Some(deadline) = deadline {
            waiting.no_longer_than(deadline);
        }
        ResponseFuture::waiting(waiting, hold)
    }
}

impl<S, H, Req> Service<Req> for Limit<S, H>
where
    S: Service<Req> + Clone,
    S::Error: From<Overloaded>,
    H: Hold<S::Response> + Clone,
{
    type Response = H::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Req, H>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        let hold = self.settings.hold.clone();
        if let Some(permit) = self.shared.enter_at_once() {
            return ResponseFuture::called(self.service.call(request), permit, hold);
        }
        let clone = self.service.clone();
        let ready = std::mem::replace(&mut self.service, clone);
        let shared = Arc::clone(&self.shared);
        let waiting = Waiting::new(ready, request, shared, &self.settings);
        ResponseFuture::waiting(waiting, hold)
    }
}
