use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tracing::field::Empty;
use tracing::info_span;

use super::ending::Ending;
use super::{SpanBody, SpanFuture};
use crate::http::{Classify, HttpOutcomes};

/// Puts each HTTP request into a span of `tracing`, with all its attempts, until its response has
/// been read to its end.
///
/// It goes around everything: retries, limits and the balance. [`AttemptSpans`](super::AttemptSpans)
/// goes around the client.
///
/// The span is `request`, of target `evenkeel::observe` and level info. Names are those of
/// OpenTelemetry where it has one.
///
/// | field | when | what |
/// | --- | --- | --- |
/// | `otel.kind` | at first | `internal` |
/// | `http.request.method`, `url.path` | at first | what is asked for, without the query |
/// | `attempts` | at the head | how many `AttemptSpans` have seen |
/// | `http.response.status_code` | at the head | |
/// | `outcome` | at the end | `success`, `failure`, `rejected`, `cancelled` |
/// | `error.type` | at the end, if it failed | the status, or the [kind of failure](crate::backend::Failure::name) |
/// | `otel.status_code` | at the end, if it failed | `ERROR` |
///
/// The caller who drops the response, or its body, early has cancelled the request.
///
/// # Cost
///
/// If no subscriber wants the span, one atomic load for each request. If one does, what that one
/// does, and one allocation.
///
/// # Examples
///
/// ```
/// use evenkeel::Pool;
/// use evenkeel::http::{BalanceLayer, ReplayBody, recommended};
/// use evenkeel::observe::{AttemptSpans, RequestSpans};
/// use tower::Layer;
/// # use http::{Request, Response};
/// # use http_body_util::Empty;
/// # type Body = ReplayBody<Empty<&'static [u8]>>;
/// # let client = tower::service_fn(|_request: Request<Body>| async {
/// #     Ok::<_, std::io::Error>(Response::new(String::new()))
/// # });
///
/// let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"])?;
/// let client = AttemptSpans::new().picker("least-requests").layer(client);
/// let balance = BalanceLayer::<Body>::least_requests(pool).layer(client);
/// let service = RequestSpans::new().layer(recommended(balance));
/// # let _ = service;
/// # Ok::<(), evenkeel::http::InvalidAddress>(())
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct RequestSpans<C = HttpOutcomes> {
    classify: C,
}

/// A service whose requests each have a span, made by [`RequestSpans`].
#[derive(Clone, Copy, Debug)]
pub struct RequestSpan<S, C = HttpOutcomes> {
    service: S,
    classify: C,
}

/// How many attempts there were at a request, in whose extensions it goes along.
#[derive(Clone, Debug, Default)]
pub(super) struct Count(Arc<AtomicU32>);

impl Count {
    /// One more; returns how many there were.
    pub(super) fn add(&self) -> u32 {
        // `Relaxed`: it is a number and nothing else.
        self.0.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn get(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

impl RequestSpans {
    /// Failed is what [`HttpOutcomes`] says.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<C> RequestSpans<C> {
    /// Sets what counts as a failure. Default: [`HttpOutcomes`].
    pub fn classify<C2: Classify>(self, classify: C2) -> RequestSpans<C2> {
        RequestSpans { classify }
    }
}

impl<S, C: Clone> Layer<S> for RequestSpans<C> {
    type Service = RequestSpan<S, C>;

    fn layer(&self, service: S) -> Self::Service {
        RequestSpan {
            service,
            classify: self.classify.clone(),
        }
    }
}

impl<S, C, B, RB> Service<Request<B>> for RequestSpan<S, C>
where
    S: Service<Request<B>, Response = Response<RB>>,
    S::Error: Error + 'static,
    RB: Body,
    C: Classify,
{
    type Response = Response<SpanBody<RB, C>>;
    type Error = S::Error;
    type Future = SpanFuture<S::Future, C>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let span = info_span!(
            target: "evenkeel::observe",
            "request",
            otel.kind = "internal",
            http.request.method = request.method().as_str(),
            url.path = request.uri().path(),
            attempts = Empty,
            http.response.status_code = Empty,
            outcome = Empty,
            error.type = Empty,
            otel.status_code = Empty,
        );
        let ending = Ending::of(span);
        let count = ending.is_open().then(Count::default);
        if let Some(count) = &count {
            request.extensions_mut().insert(count.clone());
        }
        let future = ending.span().in_scope(|| self.service.call(request));
        SpanFuture::new(future, self.classify.clone(), ending, count)
    }
}
