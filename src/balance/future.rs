use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;
use tower::BoxError;
use tower_service::Service;

use super::attempt::Bound;
use super::waiting::{Asked, Dispatch, Waiting};
use super::waits::Waits;
use super::{Error, Route, Shared, Track};
use crate::backend::{Completion, Failure, Outcome};

pin_project! {
    /// The response of a [`Balance`](super::Balance).
    ///
    /// Usually the backend has been called before this is polled for the first time, and all that
    /// is left is its response. Otherwise this waits for a backend first.
    #[must_use = "futures do nothing unless polled"]
    pub struct ResponseFuture<T, Req, R, K>
    where
        R: Route<T, Req>,
    {
        #[pin]
        state: State<Waiting<T, Req, R>, <R::Service as Service<Req>>::Future>,
        track: K,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<W, F> {
        /// No backend has the request yet.
        Waiting { waiting: Box<W> },
        /// A backend has it.
        Called {
            #[pin]
            future: F,
            completion: Option<Completion>,
        },
    }
}

impl<T, Req, R, K> ResponseFuture<T, Req, R, K>
where
    R: Route<T, Req> + Clone,
    <R::Service as Service<Req>>::Error: Into<BoxError>,
{
    #[inline]
    pub(super) fn new(
        shared: &Arc<Shared<T, Req>>,
        route: &R,
        track: K,
        waits: &Waits,
        request: Req,
        bound: Option<Bound>,
    ) -> Self {
        // The usual case needs no waker: the first backend picked is ready. If it is pending, it
        // will be asked again with a real one.
        let mut cx = shared.context();
        let view = shared.view();
        let picked = match bound {
            None => view.pick(&request, &mut cx).ok(),
            Some(bound) => {
                let member = view.snapshot.bound(bound.handle);
                member.map(|member| (view.entry_of(&member.live), member))
            }
        };
        let Some((entry, member)) = picked else {
            return Self::waiting(shared, route, track, waits, request, bound, None);
        };
        let mut service = route.route(&member.value);
        let asked = match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => {
                let completion = Some(entry.begin(&member.live, &mut cx));
                drop(view);
                let future = service.call(request);
                let state = State::Called { future, completion };
                return Self { state, track };
            }
            Poll::Pending => {
                let keyed = cx.is_keyed() || bound.is_some();
                Asked::pending(member, service, keyed, &mut cx)
            }
            Poll::Ready(Err(error)) => Asked::failed(entry, member, error.into(), &mut cx),
        };
        Self::waiting(shared, route, track, waits, request, bound, Some(asked))
    }

    #[cold]
    fn waiting(
        shared: &Arc<Shared<T, Req>>,
        route: &R,
        track: K,
        waits: &Waits,
        request: Req,
        bound: Option<Bound>,
        asked: Option<Asked<R::Service>>,
    ) -> Self {
        let shared = Arc::clone(shared);
        let waiting = Waiting::new(shared, route.clone(), waits, request, bound, asked);
        let state = State::Waiting {
            waiting: Box::new(waiting),
        };
        Self { state, track }
    }
}

impl<T, Req, R, K> Future for ResponseFuture<T, Req, R, K>
where
    R: Route<T, Req>,
    <R::Service as Service<Req>>::Error: Into<BoxError>,
    K: Track<<R::Service as Service<Req>>::Response>,
{
    type Output = Result<K::Response, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Called { future, completion } => {
                    let result = ready!(future.poll(cx));
                    let completion = completion.take().expect("polled after it was ready");
                    return Poll::Ready(match result {
                        Ok(response) => Ok(this.track.track(response, completion)),
                        Err(error) => {
                            let source = error.into();
                            let outcome = this.track.error(&*source);
                            Err(failed(source, outcome, completion))
                        }
                    });
                }
                StateProj::Waiting { waiting } => {
                    let Dispatch {
                        mut service,
                        request,
                        completion,
                    } = ready!(waiting.poll(cx))?;
                    let future = service.call(request);
                    this.state.set(State::Called {
                        future,
                        completion: Some(completion),
                    });
                }
            }
        }
    }
}

fn failed(source: BoxError, outcome: Outcome, completion: Completion) -> Error {
    let failure = match outcome {
        Outcome::Failure(failure) => failure,
        // The caller has no response, whoever is to blame.
        _ => Failure::of(&*source),
    };
    let backend = Arc::clone(completion.backend_id());
    completion.finish(outcome);
    Error::Backend {
        backend,
        failure,
        source,
    }
}

impl<T, Req, R: Route<T, Req>, K> fmt::Debug for ResponseFuture<T, Req, R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
