//! The proxy: the recommended stack around a client, which can be another at each reload.

use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use evenkeel::http::proxy::{Client, ClientBody, IdleBody, Proxy, ProxyBody};
use evenkeel::http::{Address, HeldBody, HttpOutcomes, Recommended, ReplayBody, TrackedBody, Via};
use hyper::Request;
use hyper::body::Incoming;
use tower::Service;

/// What the proxy answers with: a backend's body, passed on as it comes, or a line of its own.
pub(crate) type Body = ProxyBody<HeldBody<TrackedBody<ClientBody>>>;

/// A client's body, of which what has passed is kept, so that it can be sent again.
pub(crate) type RequestBody = ReplayBody<IdleBody<Incoming>>;

/// Retries, limits and time-outs around a client whose connector is a `C`.
pub(crate) type Stack<C> =
    Recommended<Address, IdleBody<Incoming>, Via<Client<RequestBody, C>>, HttpOutcomes>;

/// A proxy in front of a stack. What goes wrong is printed.
pub(crate) fn proxy<S>(stack: S) -> Proxy<S> {
    Proxy::new(stack).on_problem(|problem| eprintln!("{problem}"))
}

/// The stack that is in use. Requests that run on the one before go on there.
pub(crate) struct Current<S>(Arc<ArcSwap<S>>);

impl<S> Current<S> {
    pub(crate) fn new(stack: S) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(stack)))
    }

    /// From now on requests go to this one.
    pub(crate) fn set(&self, stack: S) {
        self.0.store(Arc::new(stack));
    }
}

impl<S, B> Service<Request<B>> for Current<S>
where
    S: Service<Request<B>> + Clone,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    /// A recommended stack is always ready.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        S::clone(&self.0.load()).call(request)
    }
}

impl<S> Clone for Current<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
