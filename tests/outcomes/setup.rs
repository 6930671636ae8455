//! One backend that answers what the test says, and a body that is made by hand.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use bytes::Bytes;
use evenkeel::backend::{Event, Failure, Handle, Observation, Outcome};
use evenkeel::balance::Direct;
use evenkeel::http::{Classify, OnBodyEnd, TrackedBody};
use evenkeel::{Backend, BackendSet, Balance, Error, Picker, picker};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

pub(crate) const GATEWAY: Outcome = Outcome::Failure(Failure::Gateway);
pub(crate) const RESPONSE: Outcome = Outcome::Failure(Failure::Response);
pub(crate) const BODY: Outcome = Outcome::Failure(Failure::Body);
pub(crate) const TIMEOUT: Outcome = Outcome::Failure(Failure::Timeout);

/// What a body's errors are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body broke off")]
pub(crate) struct Broke;

/// A body of these frames. It does not say beforehand that it has ended, unless it is `knowing`.
#[derive(Debug)]
pub(crate) struct Frames<E = Broke> {
    frames: VecDeque<Result<Frame<Bytes>, E>>,
    knowing: Arc<AtomicBool>,
}

impl<E> Frames<E> {
    pub(crate) fn new() -> Self {
        Self {
            frames: VecDeque::new(),
            knowing: Arc::default(),
        }
    }

    pub(crate) fn data(mut self, data: &'static str) -> Self {
        let frame = Frame::data(Bytes::from_static(data.as_bytes()));
        self.frames.push_back(Ok(frame));
        self
    }

    pub(crate) fn trailers(mut self, trailers: &[(&'static str, &'static str)]) -> Self {
        self.frames
            .push_back(Ok(Frame::trailers(headers(trailers))));
        self
    }

    pub(crate) fn error(mut self, error: E) -> Self {
        self.frames.push_back(Err(error));
        self
    }

    pub(crate) fn knowing(self) -> Self {
        self.knowing_when(&Arc::new(true.into()))
    }

    /// It learns only with `know` that nothing follows.
    pub(crate) fn knowing_when(mut self, know: &Arc<AtomicBool>) -> Self {
        self.knowing = Arc::clone(know);
        self
    }
}

impl<E: Unpin> Body for Frames<E> {
    type Data = Bytes;
    type Error = E;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, E>>> {
        Poll::Ready(self.frames.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.knowing.load(Ordering::Relaxed) && self.frames.is_empty()
    }
}

pub(crate) fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let pair = |&(name, value)| {
        (
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )
    };
    pairs.iter().map(pair).collect()
}

pub(crate) fn response<E>(
    status: u16,
    pairs: &[(&'static str, &'static str)],
    body: Frames<E>,
) -> Response<Frames<E>> {
    let mut response = Response::builder().status(status).body(body).unwrap();
    *response.headers_mut() = headers(pairs);
    response
}

/// Answers each request with what it is.
type Echo<E> = BoxCloneSyncService<Request<Answer<E>>, Response<Frames<E>>, BoxError>;
type Answer<E> = Result<Response<Frames<E>>, BoxError>;

/// A balance over one backend that is told by each request what to answer.
pub(crate) struct Setup<C, E: Send + 'static = Broke> {
    balance: Balance<Echo<E>, Request<Answer<E>>, Direct, OnBodyEnd<C>>,
    steps: Steps,
}

impl<C: Classify> Setup<C> {
    pub(crate) fn new(classify: C) -> Self {
        Self::tracking(OnBodyEnd::new().classify(classify))
    }
}

impl<C, E> Setup<C, E>
where
    C: Classify,
    E: std::fmt::Debug + Send + Unpin + 'static,
{
    pub(crate) fn tracking(track: OnBodyEnd<C>) -> Self {
        let echo = service_fn(|request: Request<Answer<E>>| async { request.into_body() });
        let backend = Backend::new("a", BoxCloneSyncService::new(echo));
        let steps = Steps::default();
        let balance = Balance::new([backend], steps.clone()).track(track);
        Self { balance, steps }
    }

    pub(crate) async fn open(&self, response: Response<Frames<E>>) -> TrackedBody<Frames<E>, C> {
        let balance = self.balance.clone();
        let response = balance.oneshot(Request::new(Ok(response))).await;
        response.expect("a response").into_body()
    }

    pub(crate) async fn error(&self, error: impl Into<BoxError>) -> Error {
        let balance = self.balance.clone();
        match balance.oneshot(Request::new(Err(error.into()))).await {
            Ok(_) => panic!("an answer"),
            Err(error) => error,
        }
    }

    /// The outcome of a response whose body is read to its end, or until it breaks off.
    pub(crate) async fn read(&self, response: Response<Frames<E>>) -> Outcome {
        let mut body = self.open(response).await;
        while let Some(Ok(_)) = body.frame().await {}
        // Who reads on finds nothing, and changes nothing.
        assert!(body.frame().await.is_none());
        let [outcome] = self.ended()[..] else {
            panic!("not ended once: {:?}", self.ended());
        };
        drop(body);
        assert_eq!(self.ended(), [outcome], "it ends once");
        self.forget();
        outcome
    }

    /// The outcome of a response whose body is dropped after so many frames.
    pub(crate) async fn drop_after(&self, frames: usize, response: Response<Frames<E>>) -> Outcome {
        let mut body = self.open(response).await;
        for _ in 0..frames {
            body.frame().await.expect("a frame").expect("a good one");
        }
        drop(body);
        let [outcome] = self.ended()[..] else {
            panic!("not ended once: {:?}", self.ended());
        };
        self.forget();
        outcome
    }

    /// How requests have looked when their heads arrived.
    pub(crate) fn heads(&self) -> Vec<Outcome> {
        self.steps.heads.lock().unwrap().clone()
    }

    /// How requests have ended.
    pub(crate) fn ended(&self) -> Vec<Outcome> {
        let ended = self.steps.ended.lock().unwrap().clone();
        let in_flight = self.balance.pool().get("a").unwrap().in_flight();
        let begun = *self.steps.begun.lock().unwrap();
        assert_eq!(in_flight, begun - ended.len(), "counted to the same end");
        ended
    }

    fn forget(&self) {
        *self.steps.begun.lock().unwrap() = 0;
        self.steps.heads.lock().unwrap().clear();
        self.steps.ended.lock().unwrap().clear();
    }
}

/// Picks the first backend, and takes down how requests go.
#[derive(Clone, Default)]
struct Steps {
    begun: Arc<Mutex<usize>>,
    heads: Arc<Mutex<Vec<Outcome>>>,
    ended: Arc<Mutex<Vec<Outcome>>>,
}

impl<Req> Picker<Req> for Steps {
    fn pick(
        &self,
        set: &dyn BackendSet,
        _request: &Req,
        _cx: &mut picker::Context,
    ) -> Option<usize> {
        (!set.is_empty()).then_some(0)
    }

    fn observe(&self, _backend: Handle, observation: &Observation) {
        match observation.event() {
            Event::Dispatched => *self.begun.lock().unwrap() += 1,
            Event::Head { outcome, .. } => self.heads.lock().unwrap().push(outcome),
            Event::Ended { outcome, .. } => self.ended.lock().unwrap().push(outcome),
            _ => {}
        }
    }
}
