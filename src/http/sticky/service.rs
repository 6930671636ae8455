use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::SET_COOKIE;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::directory::Directory;
use super::layer::{By, OnGone, Sticky};
use super::tokens::Claim;
use crate::backend::Handle;
use crate::balance::{Attempt, Error};
use crate::http::{TrackedBody, cookie};
use crate::picker::NoBackend;
use crate::picker::hash::Key;

/// A balance that keeps clients with their backends, made by [`Sticky`].
pub struct StickyBalance<S> {
    service: S,
    state: Arc<State>,
}

struct State {
    sticky: Sticky,
    directory: Arc<Directory>,
}

/// To whom a request belongs.
enum Belongs {
    ToNobody,
    ToOneWhoLeft,
    To {
        handle: Handle,
        /// Unless the client should be told again.
        told: Option<Arc<str>>,
    },
}

/// So many cookies of the right name are looked at: a client has one, or one for each path.
const COOKIES: usize = 8;

impl<S> StickyBalance<S> {
    pub(super) fn new(service: S, sticky: Sticky, directory: Arc<Directory>) -> Self {
        Self {
            service,
            state: Arc::new(State { sticky, directory }),
        }
    }
}

impl State {
    fn belongs<B>(&self, request: &Request<B>) -> Belongs {
        let claim = match &self.sticky.by {
            By::Learned(sessions) => {
                return match sessions.of(request) {
                    None => Belongs::ToNobody,
                    Some(id) => match self.directory.by_id(&id) {
                        None => Belongs::ToOneWhoLeft,
                        Some((handle, _)) => Belongs::To { handle, told: None },
                    },
                };
            }
            By::Cookie(tokens, cookie) => {
                let values = cookie::values(request.headers(), cookie.name());
                values.take(COOKIES).find_map(|value| tokens.read(value))
            }
            By::Header(tokens, name) => {
                let value = request.headers().get(name);
                value.and_then(|value| tokens.read(value.as_bytes()))
            }
            By::Query(tokens, parameter, _) => {
                let value = parameter.of(request);
                value.and_then(|value| tokens.read(value.as_bytes()))
            }
        };
        match claim {
            None => Belongs::ToNobody,
            Some(Claim { backend, renew }) => match self.directory.by_pseudonym(&backend) {
                None => Belongs::ToOneWhoLeft,
                Some((handle, id)) => Belongs::To {
                    handle,
                    told: (!renew).then_some(id),
                },
            },
        }
    }

    /// Tells the client, or takes note, that it belongs to the backend that has answered.
    fn tell<B: Body>(&self, response: &mut Response<TrackedBody<B>>, told: Option<&str>) {
        let backend = response.body().backend();
        let (tokens, name, cookie) = match &self.sticky.by {
            By::Learned(sessions) => {
                // It may have left meanwhile.
                if let Some((_, backend)) = self.directory.by_id(backend) {
                    sessions.learn(response, &backend);
                }
                return;
            }
            _ if told == Some(backend) => return,
            By::Cookie(tokens, cookie) => (tokens, &SET_COOKIE, Some(cookie)),
            By::Header(tokens, name) | By::Query(tokens, _, name) => (tokens, name, None),
        };
        let Some(pseudonym) = self.directory.pseudonym_of(backend) else {
            return;
        };
        let token = tokens.sign(&pseudonym);
        match cookie {
            Some(cookie) => {
                if let Some(value) = cookie.set(&token, tokens.seconds()) {
                    response.headers_mut().append(name, value);
                }
            }
            None => {
                if let Ok(value) = HeaderValue::try_from(token) {
                    response.headers_mut().insert(name, value);
                }
            }
        }
    }
}

impl<S, B, RB> Service<Request<B>> for StickyBalance<S>
where
    S: Service<Attempt<Request<B>>, Response = Response<TrackedBody<RB>>, Error = Error>,
    RB: Body,
{
    type Response = Response<TrackedBody<RB>>;
    type Error = Error;
    type Future = StickyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let belongs = self.state.belongs(&request);
        let fail = self.state.sticky.on_gone == OnGone::Fail;
        let (attempt, told) = match belongs {
            Belongs::ToOneWhoLeft if fail => (None, None),
            Belongs::ToOneWhoLeft | Belongs::ToNobody => (Some(Attempt::new(request)), None),
            Belongs::To { handle, told } if fail => {
                (Some(Attempt::new(request).only(handle)), told)
            }
            Belongs::To { handle, told } => (Some(Attempt::new(request).to(handle)), told),
        };
        StickyFuture {
            future: attempt.map(|attempt| self.service.call(attempt)),
            state: Arc::clone(&self.state),
            told,
        }
    }
}

pin_project! {
    /// The response of a [`StickyBalance`].
    #[must_use = "futures do nothing unless polled"]
    pub struct StickyFuture<F> {
        // None when the backend has left, and no other will do.
        #[pin]
        future: Option<F>,
        state: Arc<State>,
        told: Option<Arc<str>>,
    }
}

impl<F, B> Future for StickyFuture<F>
where
    F: Future<Output = Result<Response<TrackedBody<B>>, Error>>,
    B: Body,
{
    type Output = Result<Response<TrackedBody<B>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(future) = this.future.as_pin_mut() else {
            return Poll::Ready(Err(Error::NoBackend(NoBackend::Gone)));
        };
        let mut response = ready!(future.poll(cx))?;
        this.state.tell(&mut response, this.told.as_deref());
        Poll::Ready(Ok(response))
    }
}

impl<S: Clone> Clone for StickyBalance<S> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            state: Arc::clone(&self.state),
        }
    }
}

impl<S> fmt::Debug for StickyBalance<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StickyBalance").finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for StickyFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StickyFuture").finish_non_exhaustive()
    }
}
