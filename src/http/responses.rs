use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::BoxError;
use tower_layer::Layer;
use tower_service::Service;

use super::OnBodyEnd;
use crate::backend::Failure;
use crate::balance::{Balance, Error, OnResponse};
use crate::deadline::DeadlineExceeded;
use crate::limit::Overloaded;
use crate::picker::NoBackend;

/// Turns a service's errors into HTTP responses, for use where none are allowed, such as axum.
///
/// | error | status |
/// | --- | --- |
/// | no backend, or none took the request in time | 503 Service Unavailable |
/// | the backend that a request is bound to has left | 503 Service Unavailable |
/// | a [limit](crate::limit) refused the request | 503 Service Unavailable |
/// | a backend could not be reached, or failed | 502 Bad Gateway |
/// | time ran out | 504 Gateway Timeout |
/// | an error that is not of this crate, and not a time-out | 500 Internal Server Error |
///
/// `Retry-After` is set when the backends' back-off or the limit tells when it makes sense
/// ([`Error::retry_after`]), and on any other 503 to what [`retry_after`](Self::retry_after) says,
/// unless waiting does not help.
///
/// The body is the status in plain text: ids of backends are not for clients. Layers that log find
/// the error with [`error_of`].
///
/// # Examples
///
/// ```
/// use evenkeel::{Balance, Pool};
/// use http::{Request, Response, StatusCode};
/// use std::time::Duration;
/// use tower::ServiceExt;
/// # use tower::util::BoxCloneSyncService;
/// # type App = BoxCloneSyncService<Request<()>, Response<axum::body::Body>, std::io::Error>;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let balance = Balance::round_robin(Pool::<App>::new()).max_wait(Duration::ZERO);
/// let service = balance.into_http_responses().retry_after(Duration::from_secs(3));
///
/// let response = service.oneshot(Request::new(())).await.expect("it is infallible");
/// assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
/// assert_eq!(response.headers()["retry-after"], "3");
/// # }
/// ```
#[derive(Debug)]
#[must_use]
pub struct HttpResponses<S> {
    service: S,
    retry_after: Option<Duration>,
    /// What `poll_ready` said, for the call to answer with: a service that failed is not called.
    failed: Option<BoxError>,
}

/// Wraps services in [`HttpResponses`].
///
/// # Examples
///
/// ```
/// use evenkeel::http::HttpResponsesLayer;
/// use std::time::Duration;
/// use tower::ServiceBuilder;
///
/// // Errors of all that is inside become responses: of a time-out layer, say.
/// let layers = ServiceBuilder::new()
///     .layer(HttpResponsesLayer::new())
///     .timeout(Duration::from_secs(30));
/// # let _ = layers;
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct HttpResponsesLayer {
    retry_after: Option<Duration>,
}

impl<S> HttpResponses<S> {
    /// Wraps a service.
    pub fn new(service: S) -> Self {
        Self {
            service,
            retry_after: None,
            failed: None,
        }
    }

    /// Sets what a 503 says in `Retry-After` when nothing better is known. Default: no header.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl HttpResponsesLayer {
    /// Creates the layer.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets what a 503 says in `Retry-After` when nothing better is known. Default: no header.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}

impl<S: Clone> Clone for HttpResponses<S> {
    fn clone(&self) -> Self {
        Self {
            retry_after: self.retry_after,
            ..Self::new(self.service.clone())
        }
    }
}

impl<S> Layer<S> for HttpResponsesLayer {
    type Service = HttpResponses<S>;

    fn layer(&self, service: S) -> Self::Service {
        HttpResponses {
            retry_after: self.retry_after,
            ..HttpResponses::new(service)
        }
    }
}

impl<T, Req, R> Balance<T, Req, R, OnResponse> {
    /// Counts each request to the end of its body, and turns errors into HTTP responses; see
    /// [`OnBodyEnd`] and [`HttpResponses`].
    pub fn into_http_responses(self) -> HttpResponses<Balance<T, Req, R, OnBodyEnd>> {
        HttpResponses::new(self.count_to_body_end())
    }
}

impl<T, Req, R, C> Balance<T, Req, R, OnBodyEnd<C>> {
    /// Turns errors into HTTP responses; see [`HttpResponses`].
    pub fn into_http_responses(self) -> HttpResponses<Self> {
        HttpResponses::new(self)
    }
}

impl<S, Req, B> Service<Req> for HttpResponses<S>
where
    S: Service<Req, Response = Response<B>>,
    S::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = Infallible;
    type Future = HttpResponsesFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.failed = ready!(self.service.poll_ready(cx)).err().map(Into::into);
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let failed = self.failed.take();
        HttpResponsesFuture {
            future: failed.is_none().then(|| self.service.call(request)),
            failed,
            retry_after: self.retry_after,
        }
    }
}

pin_project! {
    /// The future of [`HttpResponses`].
    #[derive(Debug)]
    pub struct HttpResponsesFuture<F> {
        #[pin]
        future: Option<F>,
        failed: Option<BoxError>,
        retry_after: Option<Duration>,
    }
}

impl<F, B, E> Future for HttpResponsesFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<Response<ResponseBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = match this.future.as_pin_mut() {
            Some(future) => ready!(future.poll(cx)).map_err(Into::into),
            None => Err(this.failed.take().expect("polled after it was ready")),
        };
        Poll::Ready(Ok(match result {
            Ok(response) => response.map(|body| ResponseBody {
                body: Kind::Whole { body },
            }),
            Err(error) => response_of(error, *this.retry_after),
        }))
    }
}

/// Returns the error that [`HttpResponses`] made this response of, if it did.
///
/// # Examples
///
/// ```
/// use evenkeel::http::error_of;
/// use evenkeel::{Balance, Error, Pool};
/// # use http::{Request, Response};
/// # use tower::ServiceExt;
/// # use tower::util::BoxCloneSyncService;
/// # type App = BoxCloneSyncService<Request<()>, Response<axum::body::Body>, std::io::Error>;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let service = Balance::round_robin(Pool::<App>::new()).into_http_responses();
/// let response = service.oneshot(Request::new(())).await.expect("it is infallible");
///
/// let error = error_of(&response).expect("nobody answered");
/// assert!(error.downcast_ref::<Error>().is_some_and(Error::is_no_backend));
/// # }
/// ```
pub fn error_of<B>(response: &Response<B>) -> Option<&(dyn StdError + 'static)> {
    let Cause(error) = response.extensions().get()?;
    Some(&***error)
}

/// In a response's extensions, which have to be `Clone`.
#[derive(Clone)]
struct Cause(Arc<BoxError>);

fn response_of<B>(error: BoxError, retry_after: Option<Duration>) -> Response<ResponseBody<B>> {
    let status = status_of(&*error);
    let message = status.canonical_reason().unwrap_or("error");
    let mut response = Response::new(ResponseBody {
        body: Kind::Message {
            message: Some(Bytes::from_static(message.as_bytes())),
        },
    });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    let ours = find::<Error>(&*error);
    let overloaded = find(&*error).map(Overloaded::retry_after);
    let known = ours.and_then(Error::retry_after).or(overloaded);
    // One who has left does not come back by waiting.
    let gone = matches!(
        ours.map(Error::last),
        Some(Error::NoBackend(NoBackend::Gone))
    );
    let otherwise = retry_after.filter(|_| status == StatusCode::SERVICE_UNAVAILABLE && !gone);
    if let Some(after) = known.or(otherwise) {
        let begun = u64::from(after.subsec_nanos() > 0);
        let seconds = after.as_secs().saturating_add(begun);
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(Cause(Arc::new(error)));
    response
}

fn status_of(error: &(dyn StdError + 'static)) -> StatusCode {
    match find::<Error>(error) {
        Some(error) => match error.failure() {
            None => StatusCode::SERVICE_UNAVAILABLE,
            Some(Failure::Timeout) => StatusCode::GATEWAY_TIMEOUT,
            Some(_) => StatusCode::BAD_GATEWAY,
        },
        None if find::<Overloaded>(error).is_some() => StatusCode::SERVICE_UNAVAILABLE,
        None if find::<DeadlineExceeded>(error).is_some()
            || Failure::of(error) == Failure::Timeout =>
        {
            StatusCode::GATEWAY_TIMEOUT
        }
        None => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An error of this crate among the causes of another.
fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

pin_project! {
    /// The body of a response, or the text that stands for an error.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        body: Kind<B>,
    }
}

pin_project! {
    #[project = KindProj]
    #[derive(Debug)]
    enum Kind<B> {
        Whole { #[pin] body: B },
        Message { message: Option<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    /// Returns the body inside, unless this is the text of an error.
    pub fn get_ref(&self) -> Option<&B> {
        match &self.body {
            Kind::Whole { body } => Some(body),
            Kind::Message { .. } => None,
        }
    }
}

impl<B> Default for ResponseBody<B> {
    /// An empty one, as layers need it that answer by themselves, such as tower-http's time limit.
    fn default() -> Self {
        Self {
            body: Kind::Message { message: None },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().body.project() {
            KindProj::Whole { body } => body.poll_frame(cx),
            KindProj::Message { message } => {
                Poll::Ready(message.take().map(|text| Ok(Frame::data(text))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Kind::Whole { body } => body.is_end_stream(),
            Kind::Message { message } => message.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Kind::Whole { body } => body.size_hint(),
            Kind::Message { message } => {
                SizeHint::with_exact(message.as_ref().map_or(0, Bytes::len) as u64)
            }
        }
    }
}
