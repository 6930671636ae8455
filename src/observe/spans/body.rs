use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::ending::Ending;
use crate::backend::Outcome;
use crate::http::{Classify, HttpOutcomes, Verdict};

pin_project! {
    /// A response body in the span of its [request](super::RequestSpans) or
    /// [attempt](super::AttemptSpans), which ends with it.
    ///
    /// Size hint and end of stream are those of the body inside.
    #[derive(Debug)]
    pub struct SpanBody<B, C = HttpOutcomes>
    where
        B: Body,
        C: Classify,
    {
        #[pin]
        body: B,
        classify: C,
        in_trailers: bool,
        // What Content-Length promised and has not come: nobody asks for the end after that.
        left: Option<u64>,
        ending: Ending,
    }

    impl<B, C> PinnedDrop for SpanBody<B, C>
    where
        B: Body,
        C: Classify,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if this.ending.is_open() && this.body.is_end_stream() {
                end(this.ending, *this.in_trailers, this.classify, None);
            }
        }
    }
}

impl<B, C> SpanBody<B, C>
where
    B: Body,
    C: Classify,
{
    /// A response in its span, whose head is noted.
    pub(super) fn of(response: Response<B>, mut classify: C, mut ending: Ending) -> Response<Self> {
        let (parts, body) = response.into_parts();
        let head = Response::from_parts(parts, ());
        let (mut in_trailers, mut left) = (false, None);
        if ending.is_open() {
            let status = head.status();
            ending
                .span()
                .record("http.response.status_code", status.as_u16());
            match classify.head(&head) {
                Verdict::Final(outcome) => ending.end(outcome, Some(status)),
                Verdict::InTrailers => in_trailers = true,
                Verdict::Good => left = content_length(head.headers()),
            }
            if body.is_end_stream() || left == Some(0) {
                end(&mut ending, in_trailers, &mut classify, None);
            }
        }
        head.map(|()| Self {
            body,
            classify,
            in_trailers,
            left,
            ending,
        })
    }

    /// Returns the body inside.
    pub fn get_ref(&self) -> &B {
        &self.body
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The body has arrived whole.
fn end(
    ending: &mut Ending,
    in_trailers: bool,
    classify: &mut impl Classify,
    trailers: Option<&HeaderMap>,
) {
    if ending.is_open() {
        let outcome = if in_trailers {
            classify.end(trailers)
        } else {
            Outcome::Success
        };
        ending.end(outcome, None);
    }
}

impl<B, C> Body for SpanBody<B, C>
where
    B: Body<Error: 'static>,
    C: Classify,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = {
            let _entered = this.ending.span().enter();
            ready!(this.body.as_mut().poll_frame(cx))
        };
        if !this.ending.is_open() {
            return Poll::Ready(frame);
        }
        let mut trailers = None;
        match &frame {
            None => end(this.ending, *this.in_trailers, this.classify, None),
            Some(Err(error)) => {
                let outcome = this.classify.body_error(error);
                this.ending.end(outcome, None);
            }
            Some(Ok(frame)) => {
                trailers = frame.trailers_ref();
                if let (Some(left), Some(data)) = (this.left.as_mut(), frame.data_ref()) {
                    *left = left.saturating_sub(data.remaining() as u64);
                }
            }
        }
        if trailers.is_some() || *this.left == Some(0) || this.body.is_end_stream() {
            end(this.ending, *this.in_trailers, this.classify, trailers);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
