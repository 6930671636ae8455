use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, UPGRADE};
use http::{HeaderValue, Response, StatusCode, Version};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::BoxError;

use super::found::Found;
use super::problem::Asked;
use super::settings::Settings;
use super::upgrade::Upgrade;
use super::{Problem, ProxyBody, Refused, hop_by_hop};
use crate::http::responses::response_with;
use crate::http::{HttpResponsesFuture, ResponseBody, error_of};

pin_project! {
    /// The response of a [`Proxy`](super::Proxy).
    #[must_use = "futures do nothing unless polled"]
    pub struct ProxyFuture<F> {
        #[pin]
        state: State<F>,
        upgrade: Option<Upgrade>,
        settings: Arc<Settings>,
        asked: Option<Box<Asked>>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Refused { why: Refused },
        Running { #[pin] future: HttpResponsesFuture<F> },
    }
}

impl<F> ProxyFuture<F> {
    pub(super) fn running(
        future: HttpResponsesFuture<F>,
        upgrade: Option<Upgrade>,
        settings: &Arc<Settings>,
        asked: Option<Box<Asked>>,
    ) -> Self {
        Self {
            state: State::Running { future },
            upgrade,
            settings: Arc::clone(settings),
            asked,
        }
    }

    pub(super) fn refused(
        why: Refused,
        settings: &Arc<Settings>,
        asked: Option<Box<Asked>>,
    ) -> Self {
        Self {
            state: State::Refused { why },
            upgrade: None,
            settings: Arc::clone(settings),
            asked,
        }
    }
}

impl<F, RB, E> Future for ProxyFuture<F>
where
    F: Future<Output = Result<Response<RB>, E>>,
    E: Into<BoxError>,
    RB: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Output = Result<Response<ProxyBody<RB>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = match this.state.project() {
            StateProj::Refused { why } => refusal(*why),
            StateProj::Running { future } => match ready!(future.poll(cx)) {
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    switch(response, this.upgrade.take(), this.settings)
                }
                Ok(mut response) => {
                    let found = Found::of(response.headers());
                    if found.has(Found::TRANSFER_ENCODING) {
                        // The body was not read by it (RFC 9112, section 6.3).
                        response.headers_mut().remove(CONTENT_LENGTH);
                    }
                    hop_by_hop::remove(response.headers_mut(), found);
                    response
                }
                Err(never) => match never {},
            },
        };
        // What the server speaks is its own affair.
        *response.version_mut() = Version::HTTP_11;
        let tell = this.settings.on_problem.as_ref().zip(this.asked.take());
        let Some((tell, asked)) = tell else {
            return Poll::Ready(Ok(response.map(ProxyBody::new)));
        };
        if let Some(error) = error_of(&response) {
            tell(&Problem {
                asked: &asked,
                status: Some(response.status()),
                error,
            });
            return Poll::Ready(Ok(response.map(ProxyBody::new)));
        }
        let tell = Arc::clone(tell);
        Poll::Ready(Ok(
            response.map(|body| ProxyBody::telling(body, tell, asked))
        ))
    }
}

#[cold]
fn refusal<B>(why: Refused) -> Response<ResponseBody<B>> {
    let mut response = response_with(why.status(), why.into());
    // Who knows what comes next on such a connection.
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(CONNECTION, close);
    response
}

/// Lets the two connections be one, if that is what the client has asked for.
#[cold]
fn switch<B>(
    mut response: Response<ResponseBody<B>>,
    upgrade: Option<Upgrade>,
    settings: &Settings,
) -> Response<ResponseBody<B>>
where
    B: Send + 'static,
{
    let asked_for = upgrade.filter(|upgrade| upgrade.is(response.headers()));
    let Some(upgrade) = asked_for else {
        let unasked = "the backend has switched to a protocol that it was not asked for";
        let unasked = io::Error::new(io::ErrorKind::InvalidData, unasked);
        return response_with(StatusCode::BAD_GATEWAY, unasked.into());
    };
    let backend = hyper::upgrade::on(&mut response);
    let protocol = response.headers().get(UPGRADE).cloned();
    let found = Found::of(response.headers());
    hop_by_hop::remove(response.headers_mut(), found);
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    if let Some(protocol) = protocol {
        headers.insert(UPGRADE, protocol);
    }
    let (head, body) = response.into_parts();
    // With it, the request is in flight.
    tokio::spawn(upgrade.carry(backend, settings.tunnel_idle, body));
    Response::from_parts(head, ResponseBody::default())
}

impl<F> fmt::Debug for ProxyFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyFuture").finish_non_exhaustive()
    }
}
