use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;
use tower::BoxError;
use tower_service::Service;

use super::attempt::Terms;
use super::time_limit::{Cut, TimeLimit};
use super::waiting::{Asked, Dispatch, First, Waiting};
use super::waits::Waits;
use super::{Attempt, Attempted, Awaited, Error, Route, Shared, Track};
use crate::backend::{Completion, Failure, Live, Outcome};
use crate::deadline::DeadlineExceeded;

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
        limit: TimeLimit,
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
        /// Its deadline had passed before it was sent.
        Late,
        /// It took too long: who had it until then.
        Over { had: Arc<Live> },
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
        attempt: Attempt<Req>,
    ) -> Self {
        if shared.is_probing() {
            return Self::new_probing(shared, route, track, waits, attempt);
        }
        Self::begin::<false>(shared, route, track, waits, attempt)
    }

    #[cold]
    #[inline(never)]
    fn new_probing(
        shared: &Arc<Shared<T, Req>>,
        route: &R,
        track: K,
        waits: &Waits,
        attempt: Attempt<Req>,
    ) -> Self {
        Self::begin::<true>(shared, route, track, waits, attempt)
    }

    /// Twice, so that what it takes to send probes is not on the path of those who send none, where
    /// it would cost a tenth of a request.
    #[inline]
    fn begin<const PROBES: bool>(
        shared: &Arc<Shared<T, Req>>,
        route: &R,
        track: K,
        waits: &Waits,
        attempt: Attempt<Req>,
    ) -> Self {
        let Attempt { request, terms } = attempt;
        let limit = TimeLimit::new(terms.timeout.min(waits.attempt()), terms.deadline);
        if terms.late {
            return Self {
                state: State::Late,
                track,
                limit,
            };
        }
        if !terms.tried.is_empty() {
            let state = State::waiting(shared, route, waits, request, terms, First::Nobody);
            return Self {
                state,
                track,
                limit,
            };
        }
        // The usual case needs no waker: the first backend picked is ready. If it is pending, it
        // will be asked again with a real one.
        let mut cx = if PROBES {
            shared.context().with_probes()
        } else {
            shared.context()
        };
        let view = shared.view();
        let picked = match terms.bound {
            None => view.pick(&request, &mut cx).ok(),
            Some(bound) => {
                let member = view.snapshot.bound(bound.handle);
                member.map(|member| (view.entry_of(&member.live), member))
            }
        };
        if PROBES {
            shared.send_probes(&cx);
        }
        let Some((entry, member)) = picked else {
            let state = State::waiting(shared, route, waits, request, terms, First::Nobody);
            return Self {
                state,
                track,
                limit,
            };
        };
        let mut service = route.route(&member.value);
        let asked = match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => match entry.begin(&member.live, &mut cx) {
                Some(completion) => {
                    drop(view);
                    let state = State::Called {
                        future: service.call(request),
                        completion: Some(completion),
                    };
                    return Self {
                        state,
                        track,
                        limit,
                    };
                }
                None => First::Full,
            },
            Poll::Pending => {
                let keyed = cx.is_keyed() || terms.bound.is_some();
                First::Asked(Asked::pending(member, service, keyed, &mut cx))
            }
            Poll::Ready(Err(error)) => {
                First::Asked(Asked::failed(entry, member, error.into(), &mut cx))
            }
        };
        let state = State::waiting(shared, route, waits, request, terms, asked);
        Self {
            state,
            track,
            limit,
        }
    }
}

impl<T, Req, R, F> State<Waiting<T, Req, R>, F>
where
    R: Route<T, Req> + Clone,
    <R::Service as Service<Req>>::Error: Into<BoxError>,
{
    #[cold]
    fn waiting(
        shared: &Arc<Shared<T, Req>>,
        route: &R,
        waits: &Waits,
        request: Req,
        terms: Terms,
        first: First<R::Service>,
    ) -> Self {
        let shared = Arc::clone(shared);
        let waiting = Waiting::new(shared, route.clone(), waits, request, terms, first);
        Self::Waiting {
            waiting: Box::new(waiting),
        }
    }
}

impl<T, Req, R, K> ResponseFuture<T, Req, R, K>
where
    R: Route<T, Req>,
    <R::Service as Service<Req>>::Error: Into<BoxError>,
    K: Track<<R::Service as Service<Req>>::Response>,
{
    /// Polls for the response, and keeps something of the request's time at its backend, which begins
    /// anew when the caller is not waited for any more.
    #[inline]
    pub(crate) fn poll_keeping<X>(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        keep: impl FnOnce(&Completion) -> X,
        awaited: impl Fn() -> Awaited,
    ) -> Poll<Result<(K::Response, X), Error>> {
        let mut this = self.project();
        loop {
            match this.state.as_mut().project() {
                StateProj::Called { future, completion } => {
                    let result = match future.poll(cx) {
                        Poll::Ready(result) => result,
                        Poll::Pending => {
                            let cut = ready!(this.limit.poll(cx, &awaited));
                            let completion = completion.take().expect(POLLED_AGAIN);
                            let had = Arc::clone(completion.live());
                            // The request to the backend ends here, and then it is counted back.
                            this.state.set(State::Over { had });
                            return Poll::Ready(Err(cut_off(cut, completion)));
                        }
                    };
                    let completion = completion.take().expect(POLLED_AGAIN);
                    return Poll::Ready(match result {
                        Ok(response) => {
                            let kept = keep(&completion);
                            Ok((this.track.track(response, completion), kept))
                        }
                        Err(error) => {
                            let source = error.into();
                            let outcome = this.track.error(&*source);
                            let never_left = this.track.never_left(&*source);
                            Err(failed(source, outcome, never_left, completion))
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
                StateProj::Late => return Poll::Ready(Err(DeadlineExceeded::new().into())),
                StateProj::Over { .. } => panic!("{POLLED_AGAIN}"),
            }
        }
    }
}

impl<T, Req, R, K> ResponseFuture<T, Req, R, K>
where
    R: Route<T, Req>,
{
    /// The backend that has the request, or had it when its time was over, if one has.
    pub(crate) fn backend(&self) -> Option<&Arc<Live>> {
        match &self.state {
            State::Called { completion, .. } => completion.as_ref().map(Completion::live),
            State::Over { had } => Some(had),
            State::Waiting { .. } | State::Late => None,
        }
    }
}

const POLLED_AGAIN: &str = "polled after it was ready";

impl<T, Req, R, K> Future for ResponseFuture<T, Req, R, K>
where
    R: Route<T, Req>,
    <R::Service as Service<Req>>::Error: Into<BoxError>,
    K: Track<<R::Service as Service<Req>>::Response>,
{
    type Output = Result<K::Response, Error>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.poll_keeping(cx, |_completion| (), || Awaited::Never));
        Poll::Ready(result.map(|(response, ())| response))
    }
}

#[cold]
fn cut_off(cut: Cut, completion: Completion) -> Error {
    match cut {
        Cut::TimedOut(timed_out) => {
            let outcome = Outcome::Failure(Failure::Timeout);
            failed(timed_out.into(), outcome, false, completion)
        }
        Cut::Deadline(exceeded) => {
            let outcome = Outcome::Cancelled;
            let attempt = Attempted::new(completion.live(), outcome, completion.elapsed());
            completion.finish(outcome);
            Error::from(exceeded).after(vec![attempt])
        }
    }
}

fn failed(source: BoxError, outcome: Outcome, never_left: bool, completion: Completion) -> Error {
    let failure = match outcome {
        Outcome::Failure(failure) => failure,
        // The caller has no response, whoever is to blame.
        _ => Failure::of(&*source),
    };
    let attempt = Attempted::new(completion.live(), outcome, completion.elapsed());
    completion.finish(outcome);
    Error::Backend {
        attempt,
        failure,
        never_left,
        source,
    }
}

impl<T, Req, R: Route<T, Req>, K> fmt::Debug for ResponseFuture<T, Req, R, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
