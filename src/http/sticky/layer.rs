use std::sync::Arc;

use http::Request;
use http::header::HeaderName;
use tower_layer::Layer;

use super::directory::Directory;
use super::learned::Sessions;
use super::service::StickyBalance;
use super::{Learned, SessionCookie, Tokens};
use crate::InvalidSetting;
use crate::backend::Value;
use crate::balance::{Attempts, Balance};
use crate::http::OnBodyEnd;
use crate::http::key::{self, QueryParameter};
use crate::retry::{Retry, RetryAttempts};
use crate::set::{Pool, Subscriber};

/// Keeps clients with their backends; a layer around a [`Balance`] of HTTP, or around its [`Retry`].
///
/// Layer it once and clone the service: the service looks up members in a table of its own, which
/// is kept up to date with the pool. With tokens nothing else is stored; a request costs one
/// HMAC-SHA256, below a microsecond, and a response that sets a token another one.
///
/// A response that carries a new token is marked `Cache-Control: private`, so that no shared cache
/// binds its clients to one backend. The request goes to the backend as it came, token included.
///
/// # The balance inside
///
/// It is one of HTTP that [counts to the end of the body](Balance::count_to_body_end), as that of a
/// [`BalanceLayer`](crate::http::BalanceLayer) does by itself: the layer finds out from the body
/// who has answered. What turns errors into responses goes around it:
/// [`into_http_responses`](StickyBalance::into_http_responses), or
/// [`HttpResponsesLayer`](crate::http::HttpResponsesLayer).
///
/// Around a [`Retry`], the first attempt goes to the session's own backend, and if that fails, others
/// get the request; the session stays where it is.
///
/// # Cancel safety
///
/// As that of [`Balance`].
///
/// # Errors
///
/// Those of [`Balance`]; and [`NoBackend::Gone`](crate::picker::NoBackend::Gone), where
/// [`OnGone::Fail`] is set. A token that is forged, malformed, expired or oversized is no error:
/// the request is treated as that of a new client.
///
/// # Examples
///
/// See the [module](super).
#[derive(Clone)]
#[must_use]
pub struct Sticky {
    pub(super) by: By,
    pub(super) on_gone: OnGone,
}

/// How a request says to whom it belongs.
#[derive(Clone)]
pub(super) enum By {
    Cookie(Tokens, SessionCookie),
    Header(Tokens, HeaderName),
    Query(Tokens, QueryParameter, HeaderName),
    Learned(Arc<Sessions>),
}

/// What becomes of a session whose backend has left.
///
/// A session whose backend its health or an operator ([`force_down`](crate::Pool::force_down)) took
/// out is in the same position: with `PickAnother` it settles elsewhere, with `Fail` its requests
/// fail with [`NoBackend::Out`](crate::picker::NoBackend::Out) until the backend is back.
///
/// While its backend is in use, or drained, a session stays bound to it. A request for which it is
/// not ready in time ([`affinity_wait`](crate::Balance::affinity_wait)) goes to another, with
/// `PickAnother`; the next one goes home again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnGone {
    /// The picker chooses another, and the client is bound to that one.
    #[default]
    PickAnother,
    /// The request fails with [`NoBackend::Gone`](crate::picker::NoBackend::Gone), and no other
    /// backend is asked in any case. For sessions that are worth nothing elsewhere.
    ///
    /// A client that goes on to send its token goes on to fail, until that expires. One that reads
    /// the error drops its token; a browser has to be told, with the response that is made of the
    /// error:
    ///
    /// ```
    /// use evenkeel::http::error_of;
    /// use evenkeel::http::sticky::SessionCookie;
    /// use evenkeel::picker::NoBackend;
    /// use http::Response;
    /// use http::header::SET_COOKIE;
    ///
    /// /// For `map_response` around `into_http_responses`.
    /// fn forget<B>(cookie: &SessionCookie, mut response: Response<B>) -> Response<B> {
    ///     let error = error_of(&response).and_then(|error| error.downcast_ref());
    ///     if let Some(evenkeel::Error::NoBackend(NoBackend::Gone)) = error {
    ///         response.headers_mut().append(SET_COOKIE, cookie.removal());
    ///     }
    ///     response
    /// }
    /// ```
    ///
    /// A [learnt](Sticky::learned) session fails once, and is forgotten.
    Fail,
}

impl Sticky {
    /// Binds clients by a cookie with a token.
    ///
    /// # Errors
    ///
    /// When the cookie's attributes contradict each other or its name, so that browsers would
    /// refuse it.
    pub fn cookie(tokens: Tokens, cookie: SessionCookie) -> Result<Self, InvalidSetting> {
        cookie.check()?;
        Ok(Self::by(By::Cookie(tokens, cookie)))
    }

    /// Binds clients by a token in a header: responses carry it, and the client is to send it along
    /// with each request.
    ///
    /// # Errors
    ///
    /// When it is no name for a header.
    pub fn header(tokens: Tokens, name: &str) -> Result<Self, InvalidSetting> {
        let name = key::header(name)?.name().clone();
        Ok(Self::by(By::Header(tokens, name)))
    }

    /// Binds clients by a token in a parameter of the query, as in `?route=…`. Responses carry it
    /// in a header, for the application or the client to put into links.
    ///
    /// # Errors
    ///
    /// When either is no name for what it is.
    pub fn query(tokens: Tokens, parameter: &str, header: &str) -> Result<Self, InvalidSetting> {
        let header = key::header(header)?.name().clone();
        Ok(Self::by(By::Query(tokens, key::query(parameter)?, header)))
    }

    /// Binds clients by a session id that the application itself gives out. All clones of this
    /// layer and of its services share what has been learnt.
    pub fn learned(sessions: Learned) -> Self {
        Self::by(By::Learned(Arc::new(Sessions::new(sessions))))
    }

    /// Sets what becomes of a session whose backend has left. Default:
    /// [`PickAnother`](OnGone::PickAnother).
    pub fn on_gone(self, on_gone: OnGone) -> Self {
        Self { on_gone, ..self }
    }

    /// Who is who in a pool, kept up to date.
    fn directory<T: Value>(&self, pool: &Pool<T>) -> Arc<Directory> {
        let tokens = match &self.by {
            By::Cookie(tokens, _) | By::Header(tokens, _) | By::Query(tokens, ..) => Some(tokens),
            By::Learned(_) => None,
        };
        let directory = Arc::new(Directory::new(tokens.cloned()));
        let subscriber: Arc<dyn Subscriber<T>> = directory.clone();
        pool.subscribe(&subscriber);
        directory
    }

    fn by(by: By) -> Self {
        Self {
            by,
            on_gone: OnGone::default(),
        }
    }
}

impl<T, B, R, C> Layer<Balance<T, Request<B>, R, OnBodyEnd<C>>> for Sticky
where
    T: Value,
    B: 'static,
    R: Clone,
{
    type Service = StickyBalance<Attempts<T, Request<B>, R, OnBodyEnd<C>>>;

    fn layer(&self, balance: Balance<T, Request<B>, R, OnBodyEnd<C>>) -> Self::Service {
        let directory = self.directory(balance.pool());
        StickyBalance::new(balance.attempts(), self.clone(), directory)
    }
}

/// A session's own backend is tried first; if it fails, others are.
impl<T, B, R, C, P> Layer<Retry<T, Request<B>, R, OnBodyEnd<C>, P>> for Sticky
where
    T: Value,
    B: 'static,
    R: Clone,
{
    type Service = StickyBalance<RetryAttempts<T, Request<B>, R, OnBodyEnd<C>, P>>;

    fn layer(&self, retry: Retry<T, Request<B>, R, OnBodyEnd<C>, P>) -> Self::Service {
        let directory = self.directory(retry.pool());
        StickyBalance::new(retry.attempts(), self.clone(), directory)
    }
}

impl std::fmt::Debug for Sticky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sticky")
            .field("on_gone", &self.on_gone)
            .finish_non_exhaustive()
    }
}
