use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame};
use tower::BoxError;

use super::{CannotReplay, RequestBodyError};

/// Frames below this many bytes are copied, and put together. A slice would keep the buffer that it
/// is of, which a connection's reader makes this large, and takes some 32 bytes of its own.
const SMALL: usize = 8 * 1024;

/// A frame that has passed.
pub(super) enum Kept {
    Data(Bytes),
    Trailers(Box<HeaderMap>),
}

impl Kept {
    pub(super) fn frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(HeaderMap::clone(trailers)),
        }
    }
}

/// A body, what was read of it, and what of that the copy that has it is still to yield.
pub(super) struct Recording<B> {
    body: Pin<Box<B>>,
    frames: Vec<Kept>,
    /// Small frames after these, put together.
    tail: BytesMut,
    /// The frames from before which are yielded again.
    again: Range<usize>,
    bytes: usize,
    max_bytes: usize,
    lost: Option<CannotReplay>,
}

impl<B: Body> Recording<B> {
    pub(super) fn new(body: B, max_bytes: usize) -> Self {
        Self {
            body: Box::pin(body),
            frames: Vec::new(),
            tail: BytesMut::new(),
            again: 0..0,
            bytes: 0,
            max_bytes,
            lost: None,
        }
    }

    /// Yields a frame: one from before, or the body's next, kept if it is `wanted` and fits.
    pub(super) fn poll_frame(
        &mut self,
        wanted: impl FnOnce() -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
    where
        B::Error: Into<BoxError>,
    {
        if let Some(kept) = self.again.next().and_then(|at| self.frames.get(at)) {
            return Poll::Ready(Some(Ok(kept.frame())));
        }
        // This is what a body that panics leaves behind.
        let lost = self.lost.replace(CannotReplay::Failed);
        let polled = self.body.as_mut().poll_frame(cx);
        if !matches!(polled, Poll::Ready(Some(Err(_)))) {
            self.lost = lost;
        }
        let frame = match ready!(polled) {
            None => return Poll::Ready(None),
            Some(Err(error)) => {
                self.forget();
                return Poll::Ready(Some(Err(RequestBodyError::new(error).into())));
            }
            Some(Ok(frame)) => frame.map_data(|mut data| data.copy_to_bytes(data.remaining())),
        };
        if self.lost.is_none() && !(wanted() && self.keep(&frame)) {
            self.lost = Some(CannotReplay::NotKept);
            self.forget();
        }
        Poll::Ready(Some(Ok(frame)))
    }

    /// Keeps a frame, if it and all that is known to come after it fit.
    fn keep(&mut self, frame: &Frame<Bytes>) -> bool {
        let bytes = match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => data.len(),
            (_, Some(trailers)) => size(trailers),
            // A kind of frame that there was not yet: who knows how it is copied.
            (None, None) => return false,
        };
        self.bytes = self.bytes.saturating_add(bytes);
        let to_come = usize::try_from(self.body.size_hint().lower()).unwrap_or(usize::MAX);
        if self.bytes.saturating_add(to_come) > self.max_bytes {
            return false;
        }
        match (frame.data_ref(), frame.trailers_ref()) {
            // Nothing, however often, is nothing.
            _ if bytes == 0 => {}
            (Some(data), _) if data.len() < SMALL => self.tail.extend_from_slice(data),
            (Some(data), _) => self.push(Kept::Data(data.clone())),
            (_, Some(trailers)) => self.push(Kept::Trailers(Box::new(trailers.clone()))),
            (None, None) => {}
        }
        true
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.again.is_empty() && self.body.is_end_stream()
    }
}

impl<B> Recording<B> {
    /// Returns why this cannot be sent again, if so.
    pub(super) fn lost(&self) -> Option<CannotReplay> {
        self.lost
    }

    /// Makes all that was read what is yielded first, by the copy that takes this.
    pub(super) fn rewind(&mut self) {
        self.close();
        self.again = 0..self.frames.len();
    }

    /// Returns all that was read, and lets the body go.
    pub(super) fn into_frames(mut self) -> Vec<Kept> {
        // With the room that it has, which nobody needs any more: so nothing more is allocated.
        let tail = std::mem::take(&mut self.tail).freeze();
        if !tail.is_empty() {
            self.frames.push(Kept::Data(tail));
        }
        self.frames
    }

    fn push(&mut self, frame: Kept) {
        self.close();
        self.frames.push(frame);
    }

    /// Makes all that was read a list of frames.
    fn close(&mut self) {
        if !self.tail.is_empty() {
            self.frames.push(Kept::Data(self.tail.split().freeze()));
        }
    }

    fn forget(&mut self) {
        self.frames = Vec::new();
        self.tail = BytesMut::new();
    }
}

/// Returns how many bytes names and values take.
fn size(trailers: &HeaderMap) -> usize {
    let pairs = trailers.iter();
    pairs
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum()
}
