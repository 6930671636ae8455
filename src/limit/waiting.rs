use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
#[cfg(feature = "http")]
use std::time::Instant;

use super::Overloaded;
use super::layer::Settings;
use super::permit::{Permit, Shared};
use crate::backend::{Line, PlaceInLine as Place};
use crate::balance::Timer;
#[cfg(feature = "http")]
use crate::time::now;

/// A request for which there was no room when it came.
pub(super) struct Waiting<S, Req> {
    /// What is called as soon as there is.
    call: Option<(S, Req)>,
    shared: Arc<Shared>,
    /// From the first poll on.
    place: Option<Place>,
    max: Timer,
    retry_after: Duration,
}

/// There is room for the request.
pub(super) struct Admitted<S, Req> {
    pub(super) service: S,
    pub(super) request: Req,
    pub(super) permit: Permit,
}

impl<S, Req> Waiting<S, Req> {
    pub(super) fn new<H>(
        service: S,
        request: Req,
        shared: Arc<Shared>,
        settings: &Settings<H>,
    ) -> Self {
        Self {
            call: Some((service, request)),
            shared,
            place: None,
            max: Timer::new(settings.max_wait),
            retry_after: settings.retry_after,
        }
    }

    #[cfg(feature = "http")]
    pub(super) fn no_longer_than(&mut self, deadline: Instant) {
        let left = deadline.saturating_duration_since(now());
        self.max = Timer::new(self.max.duration().min(left));
    }

    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Admitted<S, Req>, Overloaded>> {
        match self.poll_permit(cx) {
            Poll::Ready(Some(permit)) => {
                let (service, request) = self.call.take().expect("polled after it was ready");
                Poll::Ready(Ok(Admitted {
                    service,
                    request,
                    permit,
                }))
            }
            Poll::Ready(None) => Poll::Ready(Err(self.refuse())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// `None` if the queue is full, or time is up.
    fn poll_permit(&mut self, cx: &mut Context<'_>) -> Poll<Option<Permit>> {
        let shared = &self.shared;
        if self.place.is_none() {
            if let Some(permit) = shared.enter_at_once() {
                return Poll::Ready(Some(permit));
            }
            let Some(place) = Line::join(&shared.line, cx.waker()) else {
                return Poll::Ready(None);
            };
            self.place = Some(place);
            shared.call();
        }
        while let Some(place) = &mut self.place
            && place.poll_called(cx).is_ready()
        {
            if let Some(permit) = shared.enter() {
                self.place.take().into_iter().for_each(Place::leave);
                shared.call();
                return Poll::Ready(Some(permit));
            }
            place.wait_again();
            shared.call();
        }
        if self.max.is_up(cx) {
            Poll::Ready(None)
        } else {
            Poll::Pending
        }
    }

    /// Gives up, and with that whatever the service had reserved.
    #[cold]
    fn refuse(&mut self) -> Overloaded {
        self.place = None;
        self.call = None;
        let Shared { count, line } = &*self.shared;
        Overloaded::new(
            count.max(),
            line.len(),
            self.max.elapsed(),
            self.retry_after,
        )
    }
}
