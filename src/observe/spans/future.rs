use std::error::Error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::body::SpanBody;
use super::ending::Ending;
use super::request::Count;
use crate::http::Classify;

pin_project! {
    /// The response of a [`RequestSpan`](super::RequestSpan) or an
    /// [`AttemptSpan`](super::AttemptSpan): what is polled in its span.
    ///
    /// # Cancel safety
    ///
    /// It can be dropped at any point: the span's outcome is `cancelled` then.
    #[must_use = "futures do nothing unless polled"]
    pub struct SpanFuture<F, C> {
        // Dropped before its span ends.
        #[pin]
        future: F,
        classify: C,
        count: Option<Count>,
        // Until there is a response, which takes it over.
        ending: Option<Ending>,
    }
}

impl<F, C> SpanFuture<F, C> {
    pub(super) fn new(future: F, classify: C, ending: Ending, count: Option<Count>) -> Self {
        Self {
            future,
            classify,
            count,
            ending: Some(ending),
        }
    }
}

impl<F, C, B, E> Future for SpanFuture<F, C>
where
    F: Future<Output = Result<Response<B>, E>>,
    C: Classify,
    B: Body,
    E: Error + 'static,
{
    type Output = Result<Response<SpanBody<B, C>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let span = this.ending.as_ref().map(Ending::span);
        let result = {
            let _entered = span.map(tracing::Span::enter);
            ready!(this.future.poll(cx))
        };
        let mut ending = this.ending.take().expect("polled after it was ready");
        if let Some(count) = this.count {
            ending.span().record("attempts", count.get());
        }
        Poll::Ready(match result {
            Ok(response) => Ok(SpanBody::of(response, this.classify.clone(), ending)),
            Err(error) => {
                if ending.is_open() {
                    ending.end(this.classify.error(&error), None);
                }
                Err(error)
            }
        })
    }
}

impl<F, C> fmt::Debug for SpanFuture<F, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpanFuture").finish_non_exhaustive()
    }
}
