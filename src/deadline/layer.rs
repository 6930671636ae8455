use std::task::{Context, Poll};
use std::time::Duration;

use tower_layer::Layer;
use tower_service::Service;

use super::{Carry, DeadlineExceeded, DeadlineFuture, Nowhere};
use crate::time::{later, now};

/// Sets how long a request may take, up to the head of its response; see the [module](super).
///
/// # Examples
///
/// ```
/// use evenkeel::deadline::DeadlineLayer;
/// use evenkeel::{Backend, Balance};
/// use std::time::Duration;
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let slow = service_fn(|_request: ()| async {
///     tokio::time::sleep(Duration::from_secs(60)).await;
///     Ok::<_, std::io::Error>("an answer")
/// });
/// let balance = Balance::round_robin([Backend::new("a", slow)]);
/// let service = DeadlineLayer::new(Duration::from_secs(5)).layer(balance);
///
/// let error = service.oneshot(()).await.unwrap_err();
/// assert!(error.is_deadline_exceeded());
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct DeadlineLayer<C = Nowhere> {
    time: Option<Duration>,
    carry: C,
}

/// A service whose requests have a deadline, made by a [`DeadlineLayer`].
///
/// The timer is armed only for a response that is not there at the first poll.
///
/// # Cancel safety
///
/// As that of the service inside.
///
/// # Errors
///
/// [`DeadlineExceeded`], and those of the service inside. A request whose deadline has passed when
/// it comes is not sent.
#[derive(Clone, Copy, Debug)]
pub struct WithDeadline<S, C = Nowhere> {
    service: S,
    time: Option<Duration>,
    carry: C,
}

impl DeadlineLayer {
    /// Gives each request so much time.
    pub fn new(time: Duration) -> Self {
        Self {
            time: Some(time),
            carry: Nowhere,
        }
    }

    /// Gives each request the time that it comes with.
    pub fn inherited<C>(carry: C) -> DeadlineLayer<C> {
        DeadlineLayer { time: None, carry }
    }
}

impl<C> DeadlineLayer<C> {
    /// Says how requests carry a deadline, which counts if it is sooner, and is passed on. Default:
    /// they do not.
    pub fn carried<C2>(self, carry: C2) -> DeadlineLayer<C2> {
        DeadlineLayer {
            time: self.time,
            carry,
        }
    }
}

impl<S, C: Clone> Layer<S> for DeadlineLayer<C> {
    type Service = WithDeadline<S, C>;

    fn layer(&self, service: S) -> Self::Service {
        WithDeadline {
            service,
            time: self.time,
            carry: self.carry.clone(),
        }
    }
}

impl<S, C, Req> Service<Req> for WithDeadline<S, C>
where
    S: Service<Req>,
    S::Error: From<DeadlineExceeded>,
    C: Carry<Req>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = DeadlineFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Req) -> Self::Future {
        let now = now();
        let ours = self.time.map(|time| later(now, time));
        let theirs = self.carry.deadline(&request);
        let deadline = [ours, theirs].into_iter().flatten().min();
        if let Some(deadline) = deadline {
            if deadline <= now {
                return DeadlineFuture::passed();
            }
            self.carry.pass_on(&mut request, deadline);
        }
        DeadlineFuture::new(self.service.call(request), deadline)
    }
}
