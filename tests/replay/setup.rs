//! A body that does what it is told, and ways to read a copy.

use std::collections::VecDeque;
use std::error::Error;
use std::marker::PhantomPinned;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::buf::Chain;
use bytes::{Buf, Bytes};
use evenkeel::http::{ReplayBody, RequestBodyError};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tower::BoxError;

/// What a [`Script`] does when it is polled.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Data(Bytes),
    Trailers(HeaderMap),
    /// Not ready, once.
    Wait,
    /// Not ready, and nobody is told when it is: who waits, waits until it is dropped.
    Stall,
    Fail,
    Panic,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("the script fails")]
pub(crate) struct Failed;

pin_project! {
    /// A body of steps, which may not be moved.
    #[derive(Debug)]
    pub(crate) struct Script {
        steps: VecDeque<Step>,
        says_its_size: bool,
        says_its_end: bool,
        alive: Arc<()>,
        #[pin]
        pinned: PhantomPinned,
    }
}

impl Script {
    /// Says neither its size nor its end.
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            says_its_size: false,
            says_its_end: false,
            alive: Arc::default(),
            pinned: PhantomPinned,
        }
    }

    pub(crate) fn sized(mut self, yes: bool) -> Self {
        self.says_its_size = yes;
        self
    }

    pub(crate) fn ended(mut self, yes: bool) -> Self {
        self.says_its_end = yes;
        self
    }

    /// Has another owner while the body is there.
    pub(crate) fn alive(&self) -> Arc<()> {
        Arc::clone(&self.alive)
    }
}

impl Body for Script {
    /// Of two parts, as buffers can be.
    type Data = Chain<Bytes, Bytes>;
    type Error = Failed;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Failed>>> {
        Poll::Ready(match self.project().steps.pop_front() {
            None => None,
            Some(Step::Data(data)) => {
                // In one part where it is short or large, so that its bytes stay the same.
                let at = if (9..8192).contains(&data.len()) {
                    5
                } else {
                    0
                };
                let parts = data.slice(..at).chain(data.slice(at..));
                Some(Ok(Frame::data(parts)))
            }
            Some(Step::Trailers(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Some(Step::Fail) => Some(Err(Failed)),
            Some(Step::Panic) => panic!("as the script says"),
            Some(Step::Stall) => return Poll::Pending,
            Some(Step::Wait) => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.says_its_end && self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.says_its_size {
            SizeHint::with_exact(bytes_of(&self.steps))
        } else {
            SizeHint::default()
        }
    }
}

pub(crate) fn bytes_of<'s>(steps: impl IntoIterator<Item = &'s Step>) -> u64 {
    let length = |step: &Step| match step {
        Step::Data(data) => data.len() as u64,
        _ => 0,
    };
    steps.into_iter().map(length).sum()
}

pub(crate) fn data(text: &'static str) -> Step {
    Step::Data(Bytes::from_static(text.as_bytes()))
}

pub(crate) fn trailers(name: &'static str, value: &'static str) -> Step {
    let pair = (
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    );
    Step::Trailers(HeaderMap::from_iter([pair]))
}

/// So many frames of so many bytes, all different.
pub(crate) fn frames(count: usize, bytes: usize) -> impl Iterator<Item = Step> {
    (0..count).map(move |frame| {
        let byte = |at| ((frame * bytes + at) % 251) as u8;
        Step::Data((0..bytes).map(byte).collect())
    })
}

pub(crate) type Polled<B> = Poll<Option<Result<Frame<<B as Body>::Data>, <B as Body>::Error>>>;

/// One poll.
pub(crate) fn poll<B>(body: &mut B) -> Polled<B>
where
    B: Body + Unpin,
{
    poll_with(body, Waker::noop())
}

/// One poll, by a task.
pub(crate) fn poll_with<B>(body: &mut B, waker: &Waker) -> Polled<B>
where
    B: Body + Unpin,
{
    Pin::new(body).poll_frame(&mut Context::from_waker(waker))
}

/// The next frame, of which there must be one that is ready, as text.
pub(crate) fn next<B>(body: &mut B) -> String
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    match poll(body) {
        Poll::Ready(Some(Ok(frame))) => text(&frame),
        other => panic!("no frame: {other:?}"),
    }
}

/// The error of the next poll.
pub(crate) fn error<B>(body: &mut B) -> BoxError
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    match poll(body) {
        Poll::Ready(Some(Err(error))) => error,
        other => panic!("no error: {other:?}"),
    }
}

/// What the body inside has failed with.
pub(crate) fn own_error<B>(body: &mut B) -> Failed
where
    B: Body<Data = Bytes, Error = BoxError> + Unpin,
{
    let error: Box<RequestBodyError> = error(body).downcast().expect("the body's own error");
    let source = error.source().and_then(|source| source.downcast_ref());
    Failed::clone(source.expect("its cause"))
}

pub(crate) fn text(frame: &Frame<Bytes>) -> String {
    match frame.data_ref() {
        Some(data) => String::from_utf8_lossy(data).into_owned(),
        None => format!("{:?}", frame.trailers_ref()),
    }
}

/// All data, and what trailers there were.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct All {
    pub(crate) data: Vec<u8>,
    pub(crate) trailers: HeaderMap,
    pub(crate) frames: usize,
}

impl All {
    pub(crate) fn of(steps: &[Step]) -> Self {
        let mut all = Self::default();
        for step in steps {
            match step {
                Step::Data(data) => all.data.extend_from_slice(data),
                Step::Trailers(trailers) => all.trailers.extend(trailers.clone()),
                _ => {}
            }
        }
        all
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.data).expect("text")
    }

    /// Whatever its frames are, it is the same.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.data == other.data && self.trailers == other.trailers
    }
}

/// Reads to the end; the size that is said must be right at every moment.
pub(crate) fn read(body: &mut ReplayBody<Script>) -> Result<All, BoxError> {
    let mut all = All::default();
    let mut hints = Vec::new();
    loop {
        let (hint, ended) = (body.size_hint(), body.is_end_stream());
        hints.push((all.data.len() as u64, hint));
        let frame = match poll(body) {
            Poll::Pending => continue,
            Poll::Ready(None) => break,
            Poll::Ready(Some(frame)) => frame?,
        };
        assert!(!ended, "after its end: {frame:?}");
        all.frames += 1;
        match frame.into_data() {
            Ok(data) => all.data.extend_from_slice(&data),
            Err(frame) => all
                .trailers
                .extend(frame.into_trailers().expect("trailers")),
        }
    }
    assert!(body.is_end_stream(), "at its end");
    let length = all.data.len() as u64;
    for (passed, hint) in hints {
        let left = length - passed;
        let right = hint.lower() <= left && hint.upper().is_none_or(|upper| left <= upper);
        assert!(right, "{hint:?} when {left} bytes were left");
    }
    Ok(all)
}
