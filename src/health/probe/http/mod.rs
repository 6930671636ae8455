pub(super) mod exchange;
mod status;
mod text;

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use http::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Method, Request, Response};
use http_body::Body;
use tower::BoxError;
use tower_service::Service;

use self::status::Statuses;
use super::{Answer, Probe, Target};
use crate::InvalidSetting;
use crate::http::{Address, parse_path, says_degraded};

const DEFAULT_BODY_LIMIT: usize = 64 * 1024;

/// A backend is healthy when it answers an HTTP request as expected.
///
/// By default that is a `GET /` with a status from 200 to 399. For backends that are
/// [`Address`]es, with any client that [`BalanceLayer`](crate::http::BalanceLayer) could take; `B`
/// is the body of its requests, of which the default is sent. Redirects are followed if the client
/// follows them.
///
/// A client that keeps connections may ask over one that it has, and then nobody knows whether the
/// backend takes new ones. Where that matters, give the probe a client of its own that keeps none;
/// hyper-util's does so with `pool_max_idle_per_host(0)`.
///
/// # Bodies
///
/// The head decides, unless there is a text to look for. The rest of a body is dropped, not read:
/// one that never ends delays nothing. Over HTTP/1.1, dropping what has not arrived yet closes the
/// connection.
///
/// # Cancel safety
///
/// Dropping the future drops the client's, which is to give up the request.
///
/// # Examples
///
/// ```
/// use evenkeel::health::{Answer, HttpProbe, Probe, Target};
/// use evenkeel::http::Address;
/// use http::{Request, Response};
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Any HTTP client: hyper-util's, or this one, for which nobody is ever well.
/// let client = service_fn(async |request: Request<String>| {
///     assert_eq!(request.uri(), "http://10.0.0.1:8080/healthz");
///     Response::builder().status(503).body(String::new())
/// });
/// let probe = HttpProbe::new(client)
///     .path("/healthz")?
///     .host("shop.example")?
///     .expect_status(200..=299)?
///     .body_contains("ok")?;
///
/// let address: Address = "10.0.0.1:8080".parse()?;
/// let reason = probe.probe(Target::new("a", address)).await.unwrap_err();
/// assert_eq!(reason.to_string(), "status 503, expected 200 to 299");
///
/// let error = probe.path("healthz").unwrap_err();
/// assert_eq!(error.to_string(), "invalid path \"healthz\": expected a path, such as /healthz");
/// # Ok(())
/// # }
/// ```
///
/// # References
///
/// The default statuses are those of [NGINX Plus]; the path, the statuses and the header of the
/// degraded are what [Envoy] has.
///
/// [NGINX Plus]: https://nginx.org/en/docs/http/ngx_http_upstream_hc_module.html
/// [Envoy]: https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/upstream/health_checking
#[must_use]
pub struct HttpProbe<C, B> {
    client: C,
    method: Method,
    path: PathAndQuery,
    headers: HeaderMap,
    statuses: Statuses,
    text: Option<String>,
    body_limit: usize,
    degraded: Option<HeaderName>,
    body: PhantomData<fn() -> B>,
}

impl<C, B> HttpProbe<C, B>
where
    C: Service<Request<B>>,
{
    /// Asks with a client.
    pub fn new(client: C) -> Self {
        Self {
            client,
            method: Method::GET,
            path: PathAndQuery::from_static("/"),
            headers: HeaderMap::new(),
            statuses: Statuses::default(),
            text: None,
            body_limit: DEFAULT_BODY_LIMIT,
            degraded: None,
            body: PhantomData,
        }
    }
}

impl<C, B> HttpProbe<C, B> {
    /// Sets the path, which may have a query. Default `/`.
    ///
    /// # Errors
    ///
    /// When it does not begin with a slash, has a fragment, or a character that no path has.
    pub fn path(self, path: &str) -> Result<Self, InvalidSetting> {
        let path = parse_path(path)?;
        Ok(Self { path, ..self })
    }

    /// Sets the method. Default `GET`.
    ///
    /// The response to a `HEAD` has no body to look for a text in.
    pub fn method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// Sets the `Host` header. Default: host and port of the backend's address.
    ///
    /// Over HTTP/2, `:authority` stays that of the address; `Host` goes along.
    ///
    /// # Errors
    ///
    /// When it is not a host, with or without a port.
    pub fn host(mut self, host: &str) -> Result<Self, InvalidSetting> {
        // An address may have a scheme too, and nothing else more.
        let valid = host.parse::<Address>().is_ok() && !host.contains('/');
        match HeaderValue::from_str(host) {
            Ok(value) if valid => {
                self.headers.insert(HOST, value);
                Ok(self)
            }
            _ => {
                let given = format_args!("{host:?}");
                let expected = "HOST or HOST:PORT, such as shop.example";
                Err(InvalidSetting::new("host", given, expected))
            }
        }
    }

    /// Adds a header, next to others of the same name; `Host` is replaced, as by
    /// [`host`](Self::host). Default: only `Host`.
    ///
    /// Values are kept out of `Debug` output and out of HTTP/2's compression, since one can be a
    /// credential.
    ///
    /// # Errors
    ///
    /// When it is not the name of a header, or not a value for one. The value is not in the error.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, InvalidSetting> {
        let name = header_name(name)?;
        if name == HOST {
            return self.host(value);
        }
        let Ok(mut value) = HeaderValue::from_str(value) else {
            let expected = "no control characters";
            return Err(InvalidSetting::new("value of header", name, expected));
        };
        value.set_sensitive(true);
        self.headers.append(name, value);
        Ok(self)
    }

    /// Adds a range of statuses that are well. Default: 200 to 399, until one is added.
    ///
    /// # Errors
    ///
    /// When the range is empty or leaves 100 to 599.
    pub fn expect_status(mut self, range: RangeInclusive<u16>) -> Result<Self, InvalidSetting> {
        self.statuses.add(range)?;
        Ok(self)
    }

    /// Sets a text that the body must contain. Default: none.
    ///
    /// It is looked for in the bytes as they come, and no more are read once it was found.
    ///
    /// # Errors
    ///
    /// When it is empty, or longer than the [limit](Self::body_limit).
    pub fn body_contains(mut self, text: impl Into<String>) -> Result<Self, InvalidSetting> {
        let text = text.into();
        if text.is_empty() || text.len() > self.body_limit {
            let given = format_args!("{text:?}");
            let expected = "1 byte or more, and not more than the body limit";
            return Err(InvalidSetting::new("text", given, expected));
        }
        self.text = Some(text);
        Ok(self)
    }

    /// Sets how many bytes of the body are looked at for the text. Default 65536.
    ///
    /// # Errors
    ///
    /// When it is 0, or less than the length of the text.
    pub fn body_limit(self, bytes: usize) -> Result<Self, InvalidSetting> {
        if bytes < self.text.as_ref().map_or(1, String::len) {
            let expected = "1 byte or more, and not less than the text";
            return Err(InvalidSetting::new("body limit", bytes, expected));
        }
        Ok(Self {
            body_limit: bytes,
            ..self
        })
    }

    /// Sets a header by which a backend says that it is [degraded](Answer::Degraded): with any
    /// value but `false` and `0`. Default: none.
    ///
    /// Envoy's is `x-envoy-degraded`.
    ///
    /// # Errors
    ///
    /// When it is not the name of a header.
    pub fn degraded_header(self, name: &str) -> Result<Self, InvalidSetting> {
        let degraded = Some(header_name(name)?);
        Ok(Self { degraded, ..self })
    }

    fn request(&self, address: &Address) -> Request<B>
    where
        B: Default,
    {
        let mut request = Request::new(B::default());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = address.uri(self.path.clone());
        *request.headers_mut() = self.headers.clone();
        if let Ok(host) = HeaderValue::from_str(address.authority()) {
            request.headers_mut().entry(HOST).or_insert(host);
        }
        request
    }

    fn answer(&self, headers: &HeaderMap) -> Answer {
        match &self.degraded {
            Some(name) if says_degraded(headers, name) => Answer::Degraded,
            _ => Answer::Healthy,
        }
    }
}

impl<C, B, RB> Probe<Address> for HttpProbe<C, B>
where
    C: Service<Request<B>, Response = Response<RB>> + Clone + Send + Sync + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    B: Default + Send + 'static,
    RB: Body + Send,
    RB::Error: Into<BoxError>,
{
    async fn probe(&self, target: Target<Address>) -> Result<Answer, BoxError> {
        let request = self.request(target.value());
        let response = exchange::send(self.client.clone(), request).await?;
        self.statuses.check(response.status())?;
        let (head, body) = response.into_parts();
        if let Some(wanted) = &self.text {
            text::find(body, wanted, self.body_limit).await?;
        }
        Ok(self.answer(&head.headers))
    }
}

impl<C: Clone, B> Clone for HttpProbe<C, B> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            method: self.method.clone(),
            path: self.path.clone(),
            headers: self.headers.clone(),
            statuses: self.statuses.clone(),
            text: self.text.clone(),
            body_limit: self.body_limit,
            degraded: self.degraded.clone(),
            body: PhantomData,
        }
    }
}

impl<C, B> fmt::Debug for HttpProbe<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpProbe")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("headers", &self.headers)
            .field("statuses", &self.statuses.to_string())
            .field("text", &self.text)
            .field("body_limit", &self.body_limit)
            .field("degraded", &self.degraded)
            .finish_non_exhaustive()
    }
}

fn header_name(name: &str) -> Result<HeaderName, InvalidSetting> {
    name.parse().map_err(|_| {
        let given = format_args!("{name:?}");
        InvalidSetting::new("header name", given, "a token, such as x-state")
    })
}
