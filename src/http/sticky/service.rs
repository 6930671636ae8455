use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderValue, Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::directory::{Directory, Found};
use super::layer::{By, OnGone, Sticky};
use super::learned::Sessions;
use super::tokens::Claim;
use crate::backend::Handle;
use crate::balance::{Attempt, Error};
use crate::http::{Classify, HttpResponses, TrackedBody, cookie};
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
    To { found: Found, renew: bool },
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

impl<S> StickyBalance<S> {
    /// Turns errors into HTTP responses; see [`HttpResponses`].
    pub fn into_http_responses(self) -> HttpResponses<Self> {
        HttpResponses::new(self)
    }
}

impl State {
    fn belongs<B>(&self, request: &Request<B>) -> Belongs {
        let claim = match &self.sticky.by {
            By::Learned(sessions) => return self.belongs_by_id(sessions, request),
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
                Some(found) => Belongs::To { found, renew },
            },
        }
    }

    fn belongs_by_id<B>(&self, sessions: &Sessions, request: &Request<B>) -> Belongs {
        let Some((session, backend)) = sessions.of(request) else {
            return Belongs::ToNobody;
        };
        let Some((found, _)) = self.directory.by_id(&backend) else {
            // Told once, it need not be told again: the next request is a new session's.
            sessions.forget(session);
            return Belongs::ToOneWhoLeft;
        };
        Belongs::To {
            found,
            renew: false,
        }
    }

    /// Tells the client, or takes note, that it belongs to the backend that has answered.
    fn tell<B, C>(&self, response: &mut Response<TrackedBody<B, C>>, from: Option<Handle>)
    where
        B: Body,
        C: Classify,
    {
        let backend = response.body().backend();
        // It may have left meanwhile.
        let Some((Found { handle, .. }, backend)) = self.directory.by_id(backend) else {
            return;
        };
        // Its own backend was passed over for this one request.
        let elsewhere = from.is_some_and(|from| from != handle);
        let (tokens, name, cookie) = match &self.sticky.by {
            By::Learned(sessions) => return sessions.learn(response, &backend, elsewhere),
            _ if elsewhere => return,
            By::Cookie(tokens, cookie) => (tokens, &SET_COOKIE, Some(cookie)),
            By::Header(tokens, name) | By::Query(tokens, _, name) => (tokens, name, None),
        };
        let Some(pseudonym) = self.directory.pseudonym_of(&backend) else {
            return;
        };
        let token = tokens.sign(&pseudonym);
        let value = match cookie {
            Some(cookie) => cookie.set(&token, tokens.seconds()),
            None => HeaderValue::try_from(token).ok(),
        };
        let Some(value) = value else {
            return;
        };
        let headers = response.headers_mut();
        // One client's token is nothing for a cache that others share. (A map of headers is full
        // at 32,768, and takes no more.)
        let private = HeaderValue::from_static("private");
        if headers.try_append(CACHE_CONTROL, private).is_ok() {
            let _ = match cookie {
                Some(_) => headers.try_append(name, value).is_ok(),
                None => headers.try_insert(name, value).is_ok(),
            };
        }
    }
}

impl<S, B, RB, C> Service<Request<B>> for StickyBalance<S>
where
    S: Service<Attempt<Request<B>>, Response = Response<TrackedBody<RB, C>>, Error = Error>,
    RB: Body,
    C: Classify,
{
    type Response = Response<TrackedBody<RB, C>>;
    type Error = Error;
    type Future = StickyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let belongs = self.state.belongs(&request);
        let fail = self.state.sticky.on_gone == OnGone::Fail;
        let attempt = Attempt::new(request);
        let (attempt, then) = match belongs {
            Belongs::ToOneWhoLeft if fail => (None, Then::Nothing),
            Belongs::ToOneWhoLeft | Belongs::ToNobody => (Some(attempt), Then::Tell(None)),
            // It may come back, but its sessions settle elsewhere now, and not for one request.
            Belongs::To { found, .. } if found.out && !fail => (Some(attempt), Then::Tell(None)),
            Belongs::To { found, renew } => {
                let handle = found.handle;
                let attempt = if fail {
                    attempt.only(handle)
                } else {
                    attempt.to(handle)
                };
                let learns = matches!(self.state.sticky.by, By::Learned(_));
                let then = if renew || learns {
                    Then::Tell(Some(handle))
                } else {
                    Then::Nothing
                };
                (Some(attempt), then)
            }
        };
        StickyFuture {
            future: attempt.map(|attempt| self.service.call(attempt)),
            state: Arc::clone(&self.state),
            then,
        }
    }
}

/// What to do when there is a response.
enum Then {
    Nothing,
    /// Tell the client who has answered; if it came from a backend, only if that one has.
    Tell(Option<Handle>),
}

pin_project! {
    /// The response of a [`StickyBalance`].
    #[must_use = "futures do nothing unless polled"]
    pub struct StickyFuture<F> {
        // None when the backend has left, and no other will do.
        #[pin]
        future: Option<F>,
        state: Arc<State>,
        then: Then,
    }
}

impl<F, B, C> Future for StickyFuture<F>
where
    F: Future<Output = Result<Response<TrackedBody<B, C>>, Error>>,
    B: Body,
    C: Classify,
{
    type Output = Result<Response<TrackedBody<B, C>>, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(future) = this.future.as_pin_mut() else {
            return Poll::Ready(Err(Error::NoBackend(NoBackend::Gone)));
        };
        let mut response = ready!(future.poll(cx))?;
        if let Then::Tell(from) = *this.then {
            this.state.tell(&mut response, from);
        }
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
