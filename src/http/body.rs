use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Buf;
use http::header::CONTENT_LENGTH;
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::backend::{Completion, Failure, Outcome};
use crate::balance::{Balance, Track};

/// In flight until the response body has ended, was dropped, or broke off.
///
/// # Outcome
///
/// | what happens | outcome |
/// | --- | --- |
/// | status 500 to 599 | failure, at once |
/// | status 429 | rejected, at once |
/// | any other, and the body is read to its end | success |
/// | any other, and the body breaks off | failure |
/// | any other, and the body is dropped early | cancelled: not the backend's fault |
///
/// A response that switches protocols (101) has no body, and so ends at once; what goes on over the
/// upgraded connection is not counted.
///
/// # Latency
///
/// The time until the response head, so that a long stream does not look slow.
/// [`latency_to_end`](Self::latency_to_end) changes that.
///
/// # Examples
///
/// ```
/// use evenkeel::http::OnBodyEnd;
/// use evenkeel::{Backend, Balance};
/// use http::{Request, Response};
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), evenkeel::Error> {
/// let service = service_fn(|_request: Request<()>| async {
///     Ok::<_, std::io::Error>(Response::new("a body".to_owned()))
/// });
/// let balance = Balance::least_requests([Backend::new("a", service)]).track(OnBodyEnd::new());
///
/// let response = balance.clone().oneshot(Request::new(())).await?;
/// assert_eq!(balance.pool().get("a").unwrap().in_flight(), 1);
/// drop(response);
/// assert_eq!(balance.pool().get("a").unwrap().in_flight(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct OnBodyEnd {
    latency_to_end: bool,
}

impl OnBodyEnd {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Measures latency to the end of the body instead of to the response head.
    pub fn latency_to_end(mut self) -> Self {
        self.latency_to_end = true;
        self
    }
}

impl<B: Body> Track<Response<B>> for OnBodyEnd {
    type Response = Response<TrackedBody<B>>;

    fn track(&self, response: Response<B>, mut completion: Completion) -> Self::Response {
        match outcome_of(response.status()) {
            Outcome::Success if self.latency_to_end => {}
            Outcome::Success => completion.head(),
            outcome => completion.settle(outcome),
        }
        let length = content_length(&response);
        response.map(|body| TrackedBody::new(body, length, completion))
    }
}

fn outcome_of(status: StatusCode) -> Outcome {
    if status.is_server_error() {
        Outcome::Failure(Failure::Response)
    } else if status == StatusCode::TOO_MANY_REQUESTS {
        Outcome::Rejected
    } else {
        Outcome::Success
    }
}

fn content_length<B>(response: &Response<B>) -> Option<u64> {
    response
        .headers()
        .get(CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

pin_project! {
    /// A response body that ends its request when it ends.
    ///
    /// Size hint and end of stream are those of the body inside.
    #[derive(Debug)]
    pub struct TrackedBody<B>
    where
        B: Body,
    {
        #[pin]
        body: B,
        backend: Arc<str>,
        // What is left of what Content-Length promised. Who has read that much does not ask for
        // the end: hyper drops the body then.
        left: Option<u64>,
        completion: Option<Completion>,
    }

    impl<B: Body> PinnedDrop for TrackedBody<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // An end that is known needs not be asked for.
            if this.body.is_end_stream() {
                finish(this.completion, Outcome::Success);
            }
        }
    }
}

impl<B: Body> TrackedBody<B> {
    fn new(body: B, length: Option<u64>, completion: Completion) -> Self {
        let backend = Arc::clone(completion.backend_id());
        let mut completion = Some(completion);
        if body.is_end_stream() || length == Some(0) {
            finish(&mut completion, Outcome::Success);
        }
        Self {
            body,
            backend,
            left: length,
            completion,
        }
    }

    /// Returns the id of the backend that answers.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// Returns the body inside.
    pub fn get_ref(&self) -> &B {
        &self.body
    }
}

fn finish(completion: &mut Option<Completion>, outcome: Outcome) {
    if let Some(completion) = completion.take() {
        completion.finish(outcome);
    }
}

impl<B: Body> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        let ended = match &frame {
            Some(Err(_)) => Some(Outcome::Failure(Failure::Body)),
            Some(Ok(frame)) => {
                if let (Some(left), Some(data)) = (this.left.as_mut(), frame.data_ref()) {
                    *left = left.saturating_sub(data.remaining() as u64);
                }
                let last =
                    frame.is_trailers() || this.body.is_end_stream() || *this.left == Some(0);
                last.then_some(Outcome::Success)
            }
            None => Some(Outcome::Success),
        };
        if let Some(outcome) = ended {
            finish(this.completion, outcome);
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

impl<T, Req, R, K> Balance<T, Req, R, K> {
    /// Counts each request as in flight until its response body has ended; see [`OnBodyEnd`].
    ///
    /// For HTTP services as backends. Behind a [`BalanceLayer`](super::BalanceLayer) it is so
    /// already.
    #[must_use]
    pub fn count_to_body_end(self) -> Balance<T, Req, R, OnBodyEnd> {
        self.track(OnBodyEnd::new())
    }
}
