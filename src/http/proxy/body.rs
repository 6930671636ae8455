use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::BoxError;

use super::Problem;
use super::problem::Asked;
use super::settings::OnProblem;
use crate::http::ResponseBody;

pin_project! {
    /// The body of a response of a [`Proxy`](super::Proxy): a backend's, or the text of an error.
    ///
    /// Size hint and end of stream are those of the body inside.
    pub struct ProxyBody<B> {
        #[pin]
        body: ResponseBody<B>,
        tell: Option<(Arc<OnProblem>, Box<Asked>)>,
    }
}

impl<B> ProxyBody<B> {
    pub(super) fn new(body: ResponseBody<B>) -> Self {
        Self { body, tell: None }
    }

    /// One whose breaking off is told.
    pub(super) fn telling(body: ResponseBody<B>, tell: Arc<OnProblem>, asked: Box<Asked>) -> Self {
        Self {
            body,
            tell: Some((tell, asked)),
        }
    }

    /// Returns the body inside, unless this is the text of an error, or the connection was
    /// upgraded.
    pub fn get_ref(&self) -> Option<&B> {
        self.body.get_ref()
    }
}

impl<B> Body for ProxyBody<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        let frame = ready!(this.body.poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                let error = error.into();
                if let Some((tell, asked)) = this.tell.take() {
                    tell(&Problem {
                        asked: &asked,
                        status: None,
                        error: &*error,
                    });
                }
                error
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

impl<B> Default for ProxyBody<B> {
    /// An empty one.
    fn default() -> Self {
        Self::new(ResponseBody::default())
    }
}

impl<B: fmt::Debug> fmt::Debug for ProxyBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyBody")
            .field("body", &self.body)
            .finish_non_exhaustive()
    }
}
