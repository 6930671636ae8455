use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::waiting::{Admitted, Waiting};
use super::{Hold, Overloaded, Permit};

pin_project! {
    /// The response of a [`Limit`](super::Limit).
    ///
    /// Usually the inner service has been called before this is polled for the first time.
    /// Otherwise this waits for room first.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<S, Req, H>
    where
        S: Service<Req>,
    {
        #[pin]
        state: State<Waiting<S, Req>, S::Future>,
        hold: H,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<W, F> {
        Waiting { waiting: Box<W> },
        Called {
            // Dropped before the permit is: until then it may be at work.
            #[pin]
            future: F,
            permit: Option<Permit>,
        },
    }
}

impl<S: Service<Req>, Req, H> ResponseFuture<S, Req, H> {
    #[inline]
    pub(super) fn called(future: S::Future, permit: Permit, hold: H) -> Self {
        let permit = Some(permit);
        let state = State::Called { future, permit };
        Self { state, hold }
    }

    #[cold]
    pub(super) fn waiting(waiting: Waiting<S, Req>, hold: H) -> Self {
        let waiting = Box::new(waiting);
        let state = State::Waiting { waiting };
        Self { state, hold }
    }
}

impl<S, Req, H> Future for ResponseFuture<S, Req, H>
where
    S: Service<Req>,
    S::Error: From<Overloaded>,
    H: Hold<S::Response>,
{
    type Output = Result<H::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Called { future, permit } => {
                    let result = ready!(future.poll(cx));
                    let permit = permit.take().expect("polled after it was ready");
                    return Poll::Ready(result.map(|response| this.hold.hold(response, permit)));
                }
                StateProj::Waiting { waiting } => {
                    let Admitted {
                        mut service,
                        request,
                        permit,
                    } = ready!(waiting.poll(cx))?;
                    let future = service.call(request);
                    let permit = Some(permit);
                    this.state.set(State::Called { future, permit });
                }
            }
        }
    }
}

impl<S: Service<Req>, Req, H> fmt::Debug for ResponseFuture<S, Req, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
