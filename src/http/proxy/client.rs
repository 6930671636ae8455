use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use pin_project_lite::pin_project;
use tower::BoxError;
use tower_service::Service;

use super::{IdleBody, upgrade};
use crate::InvalidSetting;
use crate::backend::{Failure, Outcome};
use crate::balance::ClientError;
use crate::time::CENTURY;

/// The client of a [`Proxy`](super::Proxy): hyper-util's, with limits.
///
/// Connections are kept and used again. An error that came before there was a connection says so, so
/// that the request can be sent elsewhere whatever its method is. A response that breaks off, or of
/// which nothing more comes, is an error that names the backend's address: [`BrokeOff`]. One that makes no
/// sense is a [`BadResponse`].
///
/// Clones share the connections. `B` is the body of requests, `C` the connector.
///
/// # Examples
///
/// ```
/// use evenkeel::Pool;
/// use evenkeel::http::proxy::{Client, ClientBuilder};
/// use evenkeel::http::BalanceLayer;
/// use std::time::Duration;
/// use tower::Layer;
/// # use http_body_util::Full;
/// # use bytes::Bytes;
///
/// let client: Client<Full<Bytes>> = Client::new();
/// let client: Client<Full<Bytes>> = ClientBuilder::new()
///     .connect_timeout(Duration::from_secs(1))
///     .body_idle_timeout(Duration::from_secs(300))
///     .build();
/// let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"])?;
/// let balance = BalanceLayer::<Full<Bytes>>::least_requests(pool).layer(client);
/// # let _ = balance;
/// # Ok::<(), evenkeel::http::InvalidAddress>(())
/// ```
pub struct Client<B, C = HttpConnector> {
    /// A balance takes a clone for each request, and its own is not cheap.
    client: Arc<legacy::Client<C, B>>,
    body_idle: Duration,
}

/// How a [`Client`] is to be.
///
/// # Examples
///
/// With TLS to the backends, by a connector of hyper-rustls, say:
///
/// ```
/// use evenkeel::http::proxy::{Client, ClientBuilder};
/// # use http_body_util::Full;
/// # use bytes::Bytes;
/// # let https = hyper_util::client::legacy::connect::HttpConnector::new();
///
/// let client: Client<Full<Bytes>, _> = ClientBuilder::new().build_with(https);
/// # let _ = client;
/// ```
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ClientBuilder {
    connect_timeout: Duration,
    body_idle: Duration,
    pool_idle: Duration,
    max_idle: usize,
    max_head: usize,
    http2: bool,
}

impl<B> Client<B>
where
    B: Body<Data: Send> + Send,
{
    /// A client with the defaults of [`ClientBuilder`].
    #[must_use]
    pub fn new() -> Self {
        ClientBuilder::new().build()
    }
}

impl ClientBuilder {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            body_idle: Duration::from_secs(60),
            pool_idle: Duration::from_secs(60),
            max_idle: usize::MAX,
            max_head: 64 * 1024,
            http2: false,
        }
    }

    /// Sets how long a connection may take to be made. Default 5 s. A connector that is
    /// [given](Self::build_with) has its own.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout.min(CENTURY);
        self
    }

    /// Sets for how long nothing of a response's body may come while it is waited for. Default 60 s;
    /// [`Duration::MAX`] means no limit. The time for the head is
    /// [`attempt_timeout`](crate::Balance::attempt_timeout).
    pub fn body_idle_timeout(mut self, timeout: Duration) -> Self {
        self.body_idle = timeout;
        self
    }

    /// Sets for how long a connection is kept that is not used. Default 60 s. Shorter than the
    /// backends keep it is best.
    pub fn pool_idle_timeout(mut self, timeout: Duration) -> Self {
        self.pool_idle = timeout.min(CENTURY);
        self
    }

    /// Sets how many connections to one address are kept that are not used. Default: all.
    pub fn pool_max_idle(mut self, connections: usize) -> Self {
        self.max_idle = connections;
        self
    }

    /// Sets how many bytes the head of a response may have over HTTP/1.1, and is also how much of a
    /// body is read at once. Default 64 KiB. Over HTTP/2 it is the size of the header list. A
    /// response with more, or with more than 100 headers, is an error.
    ///
    /// # Errors
    ///
    /// Less than 8,192, or more than 1 MiB.
    pub fn max_head_bytes(mut self, bytes: usize) -> Result<Self, InvalidSetting> {
        if !(8192..=1 << 20).contains(&bytes) {
            let expected = "8192 to 1048576 bytes";
            return Err(InvalidSetting::new(
                "size of a response head",
                bytes,
                expected,
            ));
        }
        self.max_head = bytes;
        Ok(self)
    }

    /// Speaks HTTP/2 to backends, without asking: for those that are known to. Default: HTTP/1.1,
    /// and HTTP/2 where a TLS connector agrees on it.
    pub fn http2_only(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Builds the client.
    pub fn build<B>(self) -> Client<B>
    where
        B: Body<Data: Send> + Send,
    {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(self.connect_timeout));
        self.build_with(connector)
    }

    /// Builds the client with a connector: for TLS, or Unix sockets.
    pub fn build_with<B, C>(self, connector: C) -> Client<B, C>
    where
        B: Body<Data: Send> + Send,
        C: Connect + Clone,
    {
        let client = legacy::Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(self.pool_idle)
            .pool_max_idle_per_host(self.max_idle)
            .http1_max_buf_size(self.max_head)
            .http2_max_header_list_size(u32::try_from(self.max_head).unwrap_or(u32::MAX))
            .http2_only(self.http2)
            .build(connector);
        Client {
            client: Arc::new(client),
            body_idle: self.body_idle,
        }
    }
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl<B, C> Service<Request<B>> for Client<B, C>
where
    B: Body<Data: Send, Error: Into<BoxError>> + Send + Unpin + 'static,
    C: Connect + Clone + Send + Sync + 'static,
{
    type Response = Response<ClientBody>;
    type Error = BoxError;
    type Future = ClientFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ClientFuture {
        ClientFuture {
            backend: request.uri().authority().cloned(),
            asked: request.headers().get(UPGRADE).cloned(),
            future: self.client.request(request),
            body_idle: self.body_idle,
        }
    }
}

pin_project! {
    /// The response of a [`Client`].
    #[must_use = "futures do nothing unless polled"]
    pub struct ClientFuture {
        #[pin]
        future: legacy::ResponseFuture,
        backend: Option<Authority>,
        // The protocol that is asked for.
        asked: Option<HeaderValue>,
        body_idle: Duration,
    }
}

impl Future for ClientFuture {
    type Output = Result<Response<ClientBody>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        Poll::Ready(match ready!(this.future.poll(cx)) {
            Ok(mut response) => {
                sound(&mut response, this.asked.as_ref())?;
                Ok(response.map(|body| ClientBody {
                    body: IdleBody::new(body, *this.body_idle),
                    backend: this.backend.take(),
                }))
            }
            Err(error) if error.is_connect() => {
                let outcome = Outcome::Failure(Failure::Connect);
                Err(ClientError::new(outcome, error).never_left().into())
            }
            Err(error) => Err(error.into()),
        })
    }
}

/// A response makes no sense, though it could be read. For a balance it is a failure of the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadResponse {
    /// Its body is encoded otherwise than as `chunked`, which nobody behind this would know.
    #[error("the response has a Transfer-Encoding other than chunked")]
    UnknownEncoding,
    /// It switches to a protocol that it was not asked for.
    #[error("the response switches to a protocol that it was not asked for")]
    Switch,
}

/// Looks at a response, and takes the one length from it that is not to be believed.
fn sound(
    response: &mut Response<Incoming>,
    asked: Option<&HeaderValue>,
) -> Result<(), BadResponse> {
    let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if switches && !asked.is_some_and(|asked| upgrade::is(asked, response.headers())) {
        return Err(BadResponse::Switch);
    }
    let headers = response.headers_mut();
    if headers.contains_key(TRANSFER_ENCODING) {
        let mut lines = headers.get_all(TRANSFER_ENCODING).into_iter();
        let chunked = |line: &HeaderValue| line.as_bytes().eq_ignore_ascii_case(b"chunked");
        if !lines.next().is_some_and(chunked) || lines.next().is_some() {
            return Err(BadResponse::UnknownEncoding);
        }
        // It was not read by it (RFC 9112, section 6.3).
        headers.remove(CONTENT_LENGTH);
    }
    Ok(())
}

pin_project! {
    /// The body of a response of a [`Client`].
    #[derive(Debug)]
    pub struct ClientBody {
        #[pin]
        body: IdleBody<Incoming>,
        backend: Option<Authority>,
    }
}

/// A response began well, and broke off.
#[derive(Debug, thiserror::Error)]
#[error("backend {backend} broke off its response")]
pub struct BrokeOff {
    backend: Authority,
    source: BoxError,
}

impl BrokeOff {
    /// Returns the address of the backend, without its scheme.
    pub fn backend(&self) -> &str {
        self.backend.as_str()
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|source| match this.backend.take() {
                Some(backend) => BrokeOff { backend, source }.into(),
                None => source,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Default for Client<B>
where
    B: Body<Data: Send> + Send,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<B, C> Clone for Client<B, C> {
    fn clone(&self) -> Self {
        Self {
            client: Arc::clone(&self.client),
            body_idle: self.body_idle,
        }
    }
}

impl<B, C> fmt::Debug for Client<B, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl fmt::Debug for ClientFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientFuture").finish_non_exhaustive()
    }
}
