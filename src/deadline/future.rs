use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use pin_project_lite::pin_project;
use tokio::time::Sleep;

use super::DeadlineExceeded;

pin_project! {
    /// The response of a [`WithDeadline`](super::WithDeadline).
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct DeadlineFuture<F> {
        // None once the deadline has passed.
        #[pin]
        future: Option<F>,
        deadline: Option<Instant>,
        sleep: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> DeadlineFuture<F> {
    pub(super) fn new(future: F, deadline: Option<Instant>) -> Self {
        Self {
            future: Some(future),
            deadline,
            sleep: None,
        }
    }

    pub(super) fn passed() -> Self {
        Self {
            future: None,
            deadline: None,
            sleep: None,
        }
    }
}

impl<F, Res, E> Future for DeadlineFuture<F>
where
    F: Future<Output = Result<Res, E>>,
    E: From<DeadlineExceeded>,
{
    type Output = Result<Res, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(future) = this.future.as_mut().as_pin_mut() {
            if let Poll::Ready(result) = future.poll(cx) {
                return Poll::Ready(result);
            }
            let Some(deadline) = *this.deadline else {
                return Poll::Pending;
            };
            if this.sleep.is_none() {
                // Without a runtime there is no timer.
                if tokio::runtime::Handle::try_current().is_err() {
                    return Poll::Pending;
                }
                *this.sleep = Some(Box::pin(tokio::time::sleep_until(deadline.into())));
            }
            if let Some(sleep) = this.sleep {
                ready!(sleep.as_mut().poll(cx));
            }
            // What is inside ends here, and what was counted for it is counted back.
            this.future.set(None);
        }
        Poll::Ready(Err(DeadlineExceeded::new().into()))
    }
}
