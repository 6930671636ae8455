use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use http::{Request, Response};
use hyper::service::Service as HyperService;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::taken::{Taken, Untaken};
use crate::http::key::PeerAddress;

/// A service as hyper takes it, which says whose connection a request came over.
pub(super) struct FromPeer<S> {
    service: S,
    peer: PeerAddress,
    /// What its client takes, if the socket does not show that.
    untaken: Option<Arc<Untaken>>,
}

impl<S> FromPeer<S> {
    pub(super) fn new(service: S, peer: PeerAddress) -> Self {
        Self {
            service,
            peer,
            untaken: None,
        }
    }

    /// Watches whether responses are taken.
    pub(super) fn watch(&mut self, untaken: &Arc<Untaken>) {
        self.untaken = Some(Arc::clone(untaken));
    }
}

impl<S, B, RB> HyperService<Request<B>> for FromPeer<S>
where
    S: Service<Request<B>, Response = Response<RB>, Error = Infallible> + Clone,
{
    type Response = Response<Taken<RB>>;
    type Error = Infallible;
    type Future = FromPeerFuture<S, Request<B>, S::Future>;

    fn call(&self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        let mut service = self.service.clone();
        // Most are ready at once, and then the request is handed on without a stop.
        let state = match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => State::Called {
                future: service.call(request),
            },
            Poll::Pending => State::Waiting {
                service,
                request: Some(request),
            },
        };
        FromPeerFuture {
            state,
            untaken: self.untaken.clone(),
        }
    }
}

pin_project! {
    pub(super) struct FromPeerFuture<S, Req, F> {
        #[pin]
        state: State<S, Req, F>,
        untaken: Option<Arc<Untaken>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, Req, F> {
        Waiting { service: S, request: Option<Req> },
        Called { #[pin] future: F },
    }
}

impl<S, Req, RB> Future for FromPeerFuture<S, Req, S::Future>
where
    S: Service<Req, Response = Response<RB>, Error = Infallible>,
{
    type Output = Result<Response<Taken<RB>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let future = match this.state.as_mut().project() {
                StateProj::Called { future } => {
                    let Ok(response) = ready!(future.poll(cx));
                    let untaken = this.untaken.as_ref();
                    return Poll::Ready(Ok(response.map(|body| match untaken {
                        None => Taken::unwatched(body),
                        Some(untaken) => untaken.watch(body),
                    })));
                }
                StateProj::Waiting { service, request } => {
                    let Ok(()) = ready!(service.poll_ready(cx));
                    service.call(request.take().expect("it is called once"))
                }
            };
            this.state.set(State::Called { future });
        }
    }
}
