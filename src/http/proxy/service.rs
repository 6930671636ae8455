use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use tower::BoxError;
use tower_service::Service;

use super::future::ProxyFuture;
use super::problem::Asked;
use super::settings::{Settings, Via};
use super::{IdleBody, Problem, ProxyBody, upgrade};
use crate::InvalidSetting;
use crate::http::HttpResponses;

/// A reverse proxy: makes requests of clients ones for backends, and answers back.
///
/// See the [module](super) for what it does to them. The service inside is
/// [`recommended`](crate::http::recommended) around a balance, or any that takes
/// `Request<IdleBody<B>>`; its errors become responses as those of [`HttpResponses`] do.
///
/// Clones share the settings.
///
/// # Cancel safety
///
/// A response future, or a response's body, can be dropped at any point. What was counted for the
/// request is counted back.
///
/// # Cost
///
/// About ten looks into the headers of a request and of its response, and three small allocations for
/// the headers that it adds. It has to be called within a tokio runtime where connections are
/// upgraded.
///
/// # Examples
///
/// ```no_run
/// use evenkeel::Pool;
/// use evenkeel::http::proxy::{Client, Proxy, Server};
/// use evenkeel::http::{BalanceLayer, recommended};
/// use tokio::net::TcpListener;
/// use tower::Layer;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"])?;
/// let balance = BalanceLayer::least_requests(pool).layer(Client::new());
/// let proxy = Proxy::new(recommended(balance)).on_problem(|problem| eprintln!("{problem}"));
///
/// let listener = TcpListener::bind("0.0.0.0:8080").await?;
/// let stop = async { tokio::signal::ctrl_c().await.expect("there is a handler for it") };
/// Server::new().serve(listener, proxy, stop).await;
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Proxy<S> {
    service: HttpResponses<S>,
    settings: Arc<Settings>,
}

impl<S> Proxy<S> {
    /// A proxy in front of a service.
    pub fn new(service: S) -> Self {
        Self {
            service: HttpResponses::new(service),
            settings: Arc::new(Settings::new()),
        }
    }

    /// Believes what the proxies in these networks say of the client, and nobody else.
    ///
    /// What they say in `X-Forwarded-For` and `Forwarded` is continued, in `X-Forwarded-Proto` and
    /// `X-Forwarded-Host` kept, and `X-Real-IP` is the last address that is none of theirs. What
    /// others say is dropped. Default: nobody is believed or disbelieved. Lists of addresses are
    /// continued, whoever has begun them; the rest is said anew, or removed.
    ///
    /// # Errors
    ///
    /// The first text that is no network.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::http::proxy::Proxy;
    /// # let service = ();
    ///
    /// let proxy = Proxy::new(service).trusted_proxies(["10.0.0.0/8", "::1"])?;
    /// # let _ = proxy;
    /// # Ok::<(), evenkeel::InvalidSetting>(())
    /// ```
    pub fn trusted_proxies<N: AsRef<str>>(
        mut self,
        networks: impl IntoIterator<Item = N>,
    ) -> Result<Self, InvalidSetting> {
        self.settings().forwarding.trust(networks)?;
        Ok(self)
    }

    /// Writes RFC 7239's `Forwarded`, too. Default: it is only continued where a request has it.
    pub fn forwarded(mut self) -> Self {
        self.settings().forwarding.write_forwarded();
        self
    }

    /// Says `https` in `X-Forwarded-Proto`, and in `Forwarded`. Default: `http`. For where TLS ends
    /// in this process.
    pub fn clients_use_https(mut self) -> Self {
        self.settings().forwarding.clients_use_https();
        self
    }

    /// Sets the `Host` that backends are told. Default: what the client has asked for. For the
    /// backend's own address there is
    /// [`host_from_backend`](crate::http::BalanceLayer::host_from_backend).
    ///
    /// # Errors
    ///
    /// What is no host, with or without a port.
    pub fn host(mut self, host: &str) -> Result<Self, InvalidSetting> {
        let valid = host.parse::<Authority>().is_ok() && !host.contains('@');
        let value = HeaderValue::from_str(host).ok().filter(|_| valid);
        let expected = "a host, with or without a port";
        let invalid = || InvalidSetting::new("host", format_args!("{host:?}"), expected);
        self.settings().host = Some(value.ok_or_else(invalid)?);
        Ok(self)
    }

    /// Sets the name under which it appears in `Via`. Default: `evenkeel`.
    ///
    /// # Errors
    ///
    /// What is no token: letters, digits, and `-._` and the like.
    pub fn via(mut self, name: &str) -> Result<Self, InvalidSetting> {
        let expected = "a token: letters, digits, and -._ and the like";
        let invalid = || InvalidSetting::new("name for Via", format_args!("{name:?}"), expected);
        self.settings().via = Some(Via::new(name).ok_or_else(invalid)?);
        Ok(self)
    }

    /// Adds nothing to `Via`. RFC 9110 wants a proxy to, so that loops are found.
    pub fn without_via(mut self) -> Self {
        self.settings().via = None;
        self
    }

    /// Sets which protocols a connection may be upgraded to. Default: `websocket`. A request for
    /// another goes on as an ordinary one.
    ///
    /// Think twice about `h2c`: what is sent then passes by everything here.
    ///
    /// # Errors
    ///
    /// What is no token, perhaps with `/` and a version.
    pub fn upgrades<N: AsRef<str>>(
        mut self,
        protocols: impl IntoIterator<Item = N>,
    ) -> Result<Self, InvalidSetting> {
        let value = |name: N| {
            let name = name.as_ref();
            let expected = "a token, such as websocket, perhaps with / and a version";
            let invalid = || InvalidSetting::new("protocol", format_args!("{name:?}"), expected);
            upgrade::protocol(name).ok_or_else(invalid)
        };
        let protocols: Result<Vec<_>, _> = protocols.into_iter().map(value).collect();
        self.settings().upgrades = protocols?;
        Ok(self)
    }

    /// Sets how long nothing may pass over an upgraded connection. Default 1 h;
    /// [`Duration::MAX`] means no limit. It can take up to twice as long until it is noticed.
    pub fn tunnel_idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings().tunnel_idle = timeout;
        self
    }

    /// Sets for how long nothing of a request's body may come while it is waited for. Default 60 s;
    /// [`Duration::MAX`] means no limit. The client is answered with 408 Request Timeout. For
    /// responses there is [`ClientBuilder::body_idle_timeout`](super::ClientBuilder).
    pub fn body_idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings().body_idle = timeout;
        self
    }

    /// Calls this for each request that is answered with an error of this proxy's, and for each
    /// response that breaks off: for a log. Default: nobody is told.
    ///
    /// What backends answer, whatever its status, is no problem of the proxy's. That a client went
    /// away is none either.
    pub fn on_problem(mut self, tell: impl Fn(&Problem<'_>) + Send + Sync + 'static) -> Self {
        self.settings().on_problem = Some(Arc::new(tell));
        self
    }

    /// Sets what a 503 says in `Retry-After` when nothing better is known; see
    /// [`HttpResponses::retry_after`]. Default: no header.
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.service = self.service.retry_after(after);
        self
    }

    fn settings(&mut self) -> &mut Settings {
        Arc::make_mut(&mut self.settings)
    }
}

impl<S, B, RB> Service<Request<B>> for Proxy<S>
where
    S: Service<Request<IdleBody<B>>, Response = Response<RB>>,
    S::Error: Into<BoxError>,
    B: Body<Error: Into<BoxError>>,
    RB: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response<ProxyBody<RB>>;
    type Error = Infallible;
    type Future = ProxyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request<IdleBody<B>>>::poll_ready(&mut self.service, cx)
    }

    fn call(&mut self, mut request: Request<B>) -> ProxyFuture<S::Future> {
        let settings = &self.settings;
        let asked = settings.on_problem.is_some().then(|| {
            Box::new(Asked {
                client: settings.forwarding.peer(request.extensions()),
                method: request.method().clone(),
                uri: request.uri().clone(),
            })
        });
        match settings.prepare(&mut request) {
            Ok(upgrade) => {
                let request = request.map(|body| IdleBody::new(body, settings.body_idle));
                let future = self.service.call(request);
                ProxyFuture::running(future, upgrade, settings, asked)
            }
            Err(refused) => ProxyFuture::refused(refused, settings, asked),
        }
    }
}

impl<S: Clone> Clone for Proxy<S> {
    fn clone(&self) -> Self {
        Self {
            service: self.service.clone(),
            settings: Arc::clone(&self.settings),
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for Proxy<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}
