use std::task::{Context, Poll};

use http::{HeaderName, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use super::{ExplainFuture, Explainable, PickLog};

/// Says in a header of the response why the request went where it did, if the request asks for it.
///
/// It asks by a header of any value, which is not passed on. The response has a header of the same
/// name with what its [`PickLog`] says: each pick, those of retries and hedges included, in the
/// order in which they were made. The balance's picker has to be [`Explained`](super::Explained).
///
/// The layer goes around everything that may try again. Outside of
/// [`into_http_responses`](crate::Balance::into_http_responses), requests that failed are explained
/// as well.
///
/// # Security
///
/// The answer shows ids of backends, which are addresses often, and how loaded they are. So nothing
/// is explained unless this layer is there; where strangers can send requests, let a proxy before it
/// remove the header, or choose a name that is hard to guess.
///
/// # The header
///
/// One line of visible ASCII; anything else in ids is escaped as in a Rust string. It is at most
/// [`max_length`](Self::max_length) bytes, and ends in `...` if that was not enough.
///
/// # Examples
///
/// ```
/// use evenkeel::Pool;
/// use evenkeel::http::BalanceLayer;
/// use evenkeel::observe::{ExplainLayer, Explained};
/// use evenkeel::picker::LeastRequests;
/// use http::{HeaderName, Request, Response};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = service_fn(|_request: Request<String>| async {
///     Ok::<_, std::io::Error>(Response::new(String::new()))
/// });
/// let pool = Pool::of_addresses(["10.0.0.1:80"])?;
/// let balance = BalanceLayer::new(pool, Explained::new(LeastRequests::new())).layer(client);
/// let service = ExplainLayer::new(HeaderName::from_static("x-explain-pick")).layer(balance);
///
/// let request = Request::get("http://shop.example/").header("x-explain-pick", "1");
/// let response = service.oneshot(request.body(String::new())?).await?;
/// let why = response.headers()["x-explain-pick"].to_str()?;
/// assert!(why.starts_with("\"10.0.0.1:80\" of 1, fewest requests in flight"), "{why}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct ExplainLayer {
    settings: Settings,
}

/// A service whose responses say why they come from where they do, made by [`ExplainLayer`].
#[derive(Clone, Debug)]
pub struct Explain<S> {
    service: S,
    settings: Settings,
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) header: HeaderName,
    pub(super) max_length: usize,
}

/// In bytes: less leaves no room for a word.
const SHORTEST: usize = 64;

impl ExplainLayer {
    /// Explains requests that have this header, in the same header of their responses.
    pub fn new(header: HeaderName) -> Self {
        let max_length = 2048;
        Self {
            settings: Settings { header, max_length },
        }
    }

    /// Sets how long the header's value may be, in bytes: at least 64. Default 2,048. Many programs
    /// refuse a response whose headers are longer than 8 KiB together.
    pub fn max_length(mut self, bytes: usize) -> Self {
        self.settings.max_length = bytes.max(SHORTEST);
        self
    }
}

impl<S> Layer<S> for ExplainLayer {
    type Service = Explain<S>;

    fn layer(&self, service: S) -> Explain<S> {
        Explain {
            service,
            settings: self.settings.clone(),
        }
    }
}

impl<B> Explainable for Request<B> {
    #[inline]
    fn pick_log(&self) -> Option<&PickLog> {
        self.extensions().get()
    }
}

impl<S, B, RB> Service<Request<B>> for Explain<S>
where
    S: Service<Request<B>, Response = Response<RB>>,
{
    type Response = Response<RB>;
    type Error = S::Error;
    type Future = ExplainFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let asked = request.headers_mut().remove(&self.settings.header);
        let answer = asked.map(|_| {
            let log = PickLog::new();
            request.extensions_mut().insert(log.clone());
            (log, self.settings.clone())
        });
        ExplainFuture::new(self.service.call(request), answer)
    }
}
