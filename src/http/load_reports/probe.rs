use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::{HOST, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};
use pin_project_lite::pin_project;
use tower::BoxError;
use tower_service::Service;

use super::{InvalidLoadReport, parse};
use crate::InvalidSetting;
use crate::http::{Address, parse_path};
use crate::load::LoadReport;

/// Asks a backend for its load: a `GET` of a path, and the report in the response's header.
///
/// A service that takes an [`Address`] and answers with a [`LoadReport`], around any client that
/// [`BalanceLayer`](crate::http::BalanceLayer) could take; `B` is the body of its requests, of which
/// the default is sent. On the other side, a [`ReportLoadLayer`](super::ReportLoadLayer) with a
/// [path](super::ReportLoadLayer::probe_path) answers.
///
/// It is always ready, and waits in its future until the client is. A status that is not 200 to 299,
/// and a response without a valid report, are errors. A body is dropped, not read.
///
/// # Cancel safety
///
/// Dropping the future drops the client's, which is to give up the request. There is no timeout in
/// here: that is for whoever waits.
///
/// # Examples
///
/// ```
/// use evenkeel::http::Address;
/// use evenkeel::http::load_reports::HttpLoadProbe;
/// use http::{Request, Response};
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Any HTTP client: hyper-util's, or this one.
/// let client = service_fn(async |request: Request<String>| {
///     assert_eq!(request.uri(), "http://10.0.0.1:8080/load");
///     Response::builder()
///         .status(204)
///         .header("endpoint-load-metrics", "TEXT named_metrics.in_flight=3")
///         .body(String::new())
/// });
/// let probe = HttpLoadProbe::new(client, "/load")?;
///
/// let address: Address = "10.0.0.1:8080".parse()?;
/// assert_eq!(probe.oneshot(address).await?.in_flight(), Some(3));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct HttpLoadProbe<C, B> {
    client: C,
    path: PathAndQuery,
    body: PhantomData<fn() -> B>,
}

/// A backend has not said what its load is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadProbeError {
    /// The client has no response.
    #[error("no response")]
    NoResponse(#[source] BoxError),
    /// The status is not 200 to 299.
    #[error("status {}, expected 200 to 299", .0.as_u16())]
    Status(StatusCode),
    /// The response has no report.
    #[error("no header endpoint-load-metrics")]
    NoReport,
    /// The report is not valid.
    #[error("a report that is not taken")]
    Invalid(#[source] InvalidLoadReport),
}

impl<C, B> HttpLoadProbe<C, B>
where
    C: Service<Request<B>>,
{
    /// Asks with a client, for a path, which may have a query.
    ///
    /// # Errors
    ///
    /// When it is not a path.
    pub fn new(client: C, path: &str) -> Result<Self, InvalidSetting> {
        Ok(Self {
            client,
            path: parse_path(path)?,
            body: PhantomData,
        })
    }
}

impl<C, B, RB> Service<Address> for HttpLoadProbe<C, B>
where
    C: Service<Request<B>, Response = Response<RB>, Error: Into<BoxError>> + Clone,
    B: Default,
{
    type Response = LoadReport;
    type Error = LoadProbeError;
    type Future = LoadProbeFuture<C, B>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), LoadProbeError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Address) -> Self::Future {
        let mut request = Request::new(B::default());
        *request.uri_mut() = address.uri(self.path.clone());
        if let Ok(host) = HeaderValue::from_str(address.authority()) {
            request.headers_mut().insert(HOST, host);
        }
        LoadProbeFuture {
            state: State::Waiting {
                client: self.client.clone(),
                request: Some(request),
            },
        }
    }
}

impl<C: Clone, B> Clone for HttpLoadProbe<C, B> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            path: self.path.clone(),
            body: PhantomData,
        }
    }
}

impl<C, B> fmt::Debug for HttpLoadProbe<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpLoadProbe")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// What a backend says to an [`HttpLoadProbe`].
    #[must_use = "futures do nothing unless polled"]
    pub struct LoadProbeFuture<C, B>
    where
        C: Service<Request<B>>,
    {
        #[pin]
        state: State<C, B, C::Future>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<C, B, F> {
        /// Until the client is ready.
        Waiting {
            client: C,
            request: Option<Request<B>>,
        },
        Called {
            #[pin]
            future: F,
        },
    }
}

impl<C, B, RB> Future for LoadProbeFuture<C, B>
where
    C: Service<Request<B>, Response = Response<RB>, Error: Into<BoxError>>,
{
    type Output = Result<LoadReport, LoadProbeError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let no_response = |error: C::Error| LoadProbeError::NoResponse(error.into());
        loop {
            match this.state.as_mut().project() {
                StateProj::Waiting { client, request } => {
                    ready!(client.poll_ready(cx)).map_err(no_response)?;
                    let request = request.take().expect("polled after it was ready");
                    let future = client.call(request);
                    this.state.set(State::Called { future });
                }
                StateProj::Called { future } => {
                    let response = ready!(future.poll(cx)).map_err(no_response)?;
                    return Poll::Ready(report_of(&response));
                }
            }
        }
    }
}

fn report_of<B>(response: &Response<B>) -> Result<LoadReport, LoadProbeError> {
    if !response.status().is_success() {
        return Err(LoadProbeError::Status(response.status()));
    }
    let report = parse(response.headers()).map_err(LoadProbeError::Invalid)?;
    report.ok_or(LoadProbeError::NoReport)
}

impl<C, B> fmt::Debug for LoadProbeFuture<C, B>
where
    C: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadProbeFuture").finish_non_exhaustive()
    }
}
