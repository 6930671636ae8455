use std::error::Error;
use std::task::{Context, Poll};

use http::uri::Authority;
use http::{Request, Response};
use http_body::Body;
use tower_layer::Layer;
use tower_service::Service;
use tracing::field::Empty;
use tracing::info_span;

use super::ending::Ending;
use super::request::Count;
use super::{SpanBody, SpanFuture};
use crate::http::{Classify, HttpOutcomes};

/// Puts each attempt at an HTTP request into a span of `tracing`, until its response has been read
/// to its end. Spans of the client are inside.
///
/// It goes right around the client, and a [`BalanceLayer`](crate::http::BalanceLayer) around that:
/// then the request's URI is that of the backend. Around the whole stack goes
/// [`RequestSpans`](super::RequestSpans), in whose span it is then. Its errors have to be an
/// [`Error`], which a box is not: a timeout of tower goes outside of it.
///
/// The span is `attempt`, of target `evenkeel::observe` and level info. Names are those of
/// OpenTelemetry where it has one.
///
/// | field | when | what |
/// | --- | --- | --- |
/// | `otel.kind` | at first | `client` |
/// | `http.request.method` | at first | |
/// | `server.address`, `server.port` | at first | host and port of the backend, as far as its address has them |
/// | `backend` | at first | its address, which is its id in a pool [of addresses](crate::Pool::of_addresses) |
/// | `picker` | at first | as it was [named](Self::picker) |
/// | `attempt` | at first | 0 for the first, if there is the span of a request |
/// | `http.request.resend_count` | at first, from the second on | the same |
/// | `http.response.status_code` | at the head | |
/// | `outcome` | at the end | `success`, `failure`, `rejected`, `cancelled` |
/// | `error.type` | at the end, if it failed | the status, or the [kind of failure](crate::backend::Failure::name) |
/// | `otel.status_code` | at the end, if it failed | `ERROR` |
///
/// An attempt that runs into its time limit, and a hedge that was not needed, are dropped:
/// `cancelled`.
///
/// # Cost
///
/// If no subscriber wants the span, one atomic load for each attempt.
///
/// # Examples
///
/// See [`RequestSpans`](super::RequestSpans).
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct AttemptSpans<C = HttpOutcomes> {
    classify: C,
    picker: Option<&'static str>,
}

/// A client whose requests each have a span, made by [`AttemptSpans`].
#[derive(Clone, Copy, Debug)]
pub struct AttemptSpan<S, C = HttpOutcomes> {
    service: S,
    settings: AttemptSpans<C>,
}

impl AttemptSpans {
    /// Failed is what [`HttpOutcomes`] says.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<C> AttemptSpans<C> {
    /// Sets what counts as a failure; to be the same as for the balance. Default: [`HttpOutcomes`].
    pub fn classify<C2: Classify>(self, classify: C2) -> AttemptSpans<C2> {
        AttemptSpans {
            classify,
            picker: self.picker,
        }
    }

    /// Sets the field `picker`, such as [`Algorithm::name`](crate::picker::Algorithm::name). Default:
    /// there is none.
    pub fn picker(mut self, name: &'static str) -> Self {
        self.picker = Some(name);
        self
    }
}

impl<S, C: Clone> Layer<S> for AttemptSpans<C> {
    type Service = AttemptSpan<S, C>;

    fn layer(&self, service: S) -> Self::Service {
        AttemptSpan {
            service,
            settings: self.clone(),
        }
    }
}

/// What is before an `@` may be a password.
fn without_user(authority: &Authority) -> &str {
    let authority = authority.as_str();
    authority
        .rsplit_once('@')
        .map_or(authority, |(_user, rest)| rest)
}

impl<S, C, B, RB> Service<Request<B>> for AttemptSpan<S, C>
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

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let uri = request.uri();
        let span = info_span!(
            target: "evenkeel::observe",
            "attempt",
            otel.kind = "client",
            http.request.method = request.method().as_str(),
            server.address = uri.host(),
            server.port = uri.port_u16(),
            backend = uri.authority().map(without_user),
            picker = self.settings.picker,
            attempt = Empty,
            http.request.resend_count = Empty,
            http.response.status_code = Empty,
            outcome = Empty,
            error.type = Empty,
            otel.status_code = Empty,
        );
        let ending = Ending::of(span);
        if ending.is_open()
            && let Some(count) = request.extensions().get::<Count>()
        {
            let number = count.add();
            ending.span().record("attempt", number);
            if number > 0 {
                ending.span().record("http.request.resend_count", number);
            }
        }
        let future = ending.span().in_scope(|| self.service.call(request));
        SpanFuture::new(future, self.settings.classify.clone(), ending, None)
    }
}
