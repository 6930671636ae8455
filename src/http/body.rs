use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Buf;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::classify::{Classify, HttpOutcomes, Verdict};
use crate::backend::{Completion, Failure, Outcome};
use crate::balance::{Attempted, Balance, Head, Track};
use crate::load::LoadReport;

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
/// | the service returns an error | failure |
///
/// That is what [`HttpOutcomes`] says; [`classify`](Self::classify) sets another [`Classify`], such
/// as [`GrpcOutcomes`](super::GrpcOutcomes).
///
/// A response that switches protocols (101) has an empty body that ends when it is read or dropped:
/// whoever has the connection then keeps it, and the request is in flight as long as the connection
/// lives. A server that is not told otherwise drops it with the head.
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
pub struct OnBodyEnd<C = HttpOutcomes> {
    classify: C,
    latency_to_end: bool,
    read_load: Option<ReadLoad>,
}

/// Finds what a response says of its backend's load.
type ReadLoad = fn(&mut HeaderMap) -> Option<LoadReport>;

impl OnBodyEnd {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<C> OnBodyEnd<C> {
    /// Sets what counts as a failure. Default: [`HttpOutcomes`].
    pub fn classify<C2: Classify>(self, classify: C2) -> OnBodyEnd<C2> {
        OnBodyEnd {
            classify,
            latency_to_end: self.latency_to_end,
            read_load: self.read_load,
        }
    }

    /// Measures latency to the end of the body instead of to the response head.
    pub fn latency_to_end(mut self) -> Self {
        self.latency_to_end = true;
        self
    }

    /// Believes what `read` finds in a response's headers of the load of its backend, and tells the
    /// picker, before the head. Default: nothing is believed, and no header looked at.
    ///
    /// Nobody checks whether it is true: a backend that says that it is idle gets more requests. Let
    /// it be only where all backends are yours. With the feature `load-reports` there are
    /// `load_reports::read` and `load_reports::take` to give here; a header of your own takes a
    /// function.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::http::OnBodyEnd;
    /// use evenkeel::load::LoadReport;
    /// use http::HeaderMap;
    ///
    /// fn queue_length(headers: &mut HeaderMap) -> Option<LoadReport> {
    ///     let length = headers.get("x-queue-length")?.to_str().ok()?.parse().ok()?;
    ///     Some(LoadReport::new().with_in_flight(length))
    /// }
    ///
    /// let track = OnBodyEnd::new().believe_load_reports(queue_length);
    /// # let _ = track;
    /// ```
    pub fn believe_load_reports(mut self, read: fn(&mut HeaderMap) -> Option<LoadReport>) -> Self {
        self.read_load = Some(read);
        self
    }
}

impl<B, C> Track<Response<B>> for OnBodyEnd<C>
where
    B: Body,
    C: Classify,
{
    type Response = Response<TrackedBody<B, C>>;

    fn track(&self, response: Response<B>, mut completion: Completion) -> Self::Response {
        let (mut parts, body) = response.into_parts();
        if let Some(report) = self.read_load.and_then(|read| read(&mut parts.headers)) {
            completion.report(report);
        }
        let head = Response::from_parts(parts, ());
        let mut classify = self.classify.clone();
        let verdict = classify.head(&head);
        if classify.degraded(&head) {
            completion.degraded();
        }
        match verdict {
            Verdict::Final(outcome) => {
                note_wait(&classify, head.headers(), outcome, &mut completion);
                completion.settle(outcome);
            }
            Verdict::Good | Verdict::InTrailers if self.latency_to_end => {}
            Verdict::Good | Verdict::InTrailers => completion.head(),
        }
        let failed = match verdict {
            Verdict::Final(outcome) => Some(outcome),
            Verdict::Good | Verdict::InTrailers => None,
        };
        let left = match verdict {
            Verdict::InTrailers => Left::Trailers,
            Verdict::Good | Verdict::Final(_) => content_length(&head),
        };
        // Its body is empty, but the connection has only begun.
        let ended = head.status() != StatusCode::SWITCHING_PROTOCOLS
            && (body.is_end_stream() || left == Left::Bytes(0));
        head.map(|()| TrackedBody::new(body, left, ended, failed, classify, completion))
    }

    fn error(&self, error: &(dyn StdError + 'static)) -> Outcome {
        self.classify.error(error)
    }

    fn never_left(&self, error: &(dyn StdError + 'static)) -> bool {
        self.classify.never_left(error)
    }

    #[inline]
    fn head(&self, response: &Self::Response) -> Head {
        match response.body().failed {
            None => Head::good(),
            Some(outcome) => failed_head(&self.classify, response.headers(), outcome),
        }
    }

    fn tried(&self, response: &mut Self::Response, attempts: Box<[Attempted]>) {
        response.body_mut().attempts = attempts;
    }
}

/// Hands on for how long a backend that refused or is not available asks to be left alone.
fn note_wait(
    classify: &impl Classify,
    headers: &HeaderMap,
    outcome: Outcome,
    completion: &mut Completion,
) {
    if let Some(after) = wait(classify, headers, outcome) {
        completion.retry_after(after);
    }
}

fn wait(classify: &impl Classify, headers: &HeaderMap, outcome: Outcome) -> Option<Duration> {
    match outcome {
        Outcome::Rejected | Outcome::Failure(Failure::Gateway) => classify.retry_after(headers),
        _ => None,
    }
}

#[cold]
fn failed_head(classify: &impl Classify, headers: &HeaderMap, outcome: Outcome) -> Head {
    let mut head = Head::failed(outcome);
    if let Some(wait) = wait(classify, headers, outcome) {
        head = head.retry_after(wait);
    }
    if classify.waits_anywhere(headers) {
        head = head.anywhere();
    }
    if !classify.may_retry(headers) {
        head = head.no_retry();
    }
    head
}

/// What is still to come of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// It will say when it has ended.
    Unknown,
    /// What is left of what Content-Length promised. Who has read that much does not ask for the
    /// end: hyper drops the body then.
    Bytes(u64),
    /// They tell the outcome, however long the body is.
    Trailers,
}

fn content_length(head: &Response<()>) -> Left {
    let value = head.headers().get(CONTENT_LENGTH);
    let length = value.and_then(|value| value.to_str().ok()?.parse().ok());
    length.map_or(Left::Unknown, Left::Bytes)
}

pin_project! {
    /// A response body that ends its request when it ends.
    ///
    /// Size hint and end of stream are those of the body inside.
    #[derive(Debug)]
    pub struct TrackedBody<B, C = HttpOutcomes>
    where
        B: Body,
        C: Classify,
    {
        #[pin]
        body: B,
        backend: Arc<str>,
        left: Left,
        classify: C,
        completion: Option<Completion>,
        failed: Option<Outcome>,
        attempts: Box<[Attempted]>,
    }

    impl<B, C> PinnedDrop for TrackedBody<B, C>
    where
        B: Body,
        C: Classify,
    {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            // An end that is known needs not be asked for.
            if this.body.is_end_stream() {
                end(this.completion, *this.left, this.classify, None);
            }
        }
    }
}

impl<B, C> TrackedBody<B, C>
where
    B: Body,
    C: Classify,
{
    fn new(
        body: B,
        left: Left,
        ended: bool,
        failed: Option<Outcome>,
        mut classify: C,
        completion: Completion,
    ) -> Self {
        let backend = Arc::clone(completion.live().shared_id());
        let mut completion = Some(completion);
        if ended {
            end(&mut completion, left, &mut classify, None);
        }
        Self {
            body,
            backend,
            left,
            classify,
            completion,
            failed,
            attempts: Box::default(),
        }
    }

    /// Returns the attempts at this request that were made before, of which none went well, if there
    /// was a [retry](crate::retry) or a hedge.
    pub fn attempts(&self) -> &[Attempted] {
        &self.attempts
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

/// The body has arrived whole.
#[inline]
fn end(
    completion: &mut Option<Completion>,
    left: Left,
    classify: &mut impl Classify,
    trailers: Option<&HeaderMap>,
) {
    let Some(mut completion) = completion.take() else {
        return;
    };
    let mut outcome = Outcome::Success;
    if left == Left::Trailers {
        outcome = classify.end(trailers);
        if let Some(trailers) = trailers {
            note_wait(classify, trailers, outcome, &mut completion);
        }
    }
    completion.finish(outcome);
}

impl<B, C> Body for TrackedBody<B, C>
where
    B: Body,
    B::Error: 'static,
    C: Classify,
{
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        let ended = match &frame {
            Some(Err(error)) => {
                if let Some(completion) = this.completion.take() {
                    completion.finish(this.classify.body_error(error));
                }
                return Poll::Ready(frame);
            }
            Some(Ok(frame)) => {
                if let (Left::Bytes(left), Some(data)) = (&mut *this.left, frame.data_ref()) {
                    *left = left.saturating_sub(data.remaining() as u64);
                }
                let last = frame.is_trailers()
                    || this.body.is_end_stream()
                    || *this.left == Left::Bytes(0);
                last.then(|| frame.trailers_ref())
            }
            None => Some(None),
        };
        if let Some(trailers) = ended {
            end(this.completion, *this.left, this.classify, trailers);
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
    /// already. For what counts as a failure to be set, `track` an
    /// [`OnBodyEnd`](OnBodyEnd::classify) instead.
    #[must_use]
    pub fn count_to_body_end(self) -> Balance<T, Req, R, OnBodyEnd> {
        self.track(OnBodyEnd::new())
    }
}
