use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use http::Request;
use hyper::service::Service as HyperService;
use pin_project_lite::pin_project;
use tower_service::Service;

use crate::http::key::PeerAddress;

/// A service as hyper takes it, which says whose connection a request came over.
pub(super) struct FromPeer<S> {
    service: S,
    peer: PeerAddress,
}

impl<S> FromPeer<S> {
    pub(super) fn new(service: S, peer: PeerAddress) -> Self {
        Self { service, peer }
    }
}

impl<S, B> HyperService<Request<B>> for FromPeer<S>
where
    S: Service<Request<B>, Error = Infallible> + Clone,
{
    type Response = S::Response;
    type Error = Infallible;
    type Future = FromPeerFuture<S, Request<B>, S::Future>;

    fn call(&self, mut request: Request<B>) -> Self::Future {
        request.extensions_mut().insert(self.peer);
        let mut service = self.service.clone();
        // Most are ready at once, and then the request is handed on without a stop.
        match service.poll_ready(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(())) => FromPeerFuture::Called {
                future: service.call(request),
            },
            Poll::Pending => FromPeerFuture::Waiting {
                service,
                request: Some(request),
            },
        }
    }
}

pin_project! {
    #[project = Proj]
    pub(super) enum FromPeerFuture<S, Req, F> {
        Waiting { service: S, request: Option<Req> },
        Called { #[pin] future: F },
    }
}

impl<S, Req> Future for FromPeerFuture<S, Req, S::Future>
where
    S: Service<Req, Error = Infallible>,
{
    type Output = Result<S::Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let future = match self.as_mut().project() {
                Proj::Called { future } => return future.poll(cx),
                Proj::Waiting { service, request } => {
                    let Ok(()) = ready!(service.poll_ready(cx));
                    service.call(request.take().expect("it is called once"))
                }
            };
            self.set(FromPeerFuture::Called { future });
        }
    }
}
