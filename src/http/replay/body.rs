use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

use super::recording::Recording;
use super::slot::{Slot, Start};
use super::{DEFAULT_MAX_BYTES, Released};

/// A request body that can be sent again.
///
/// A clone is another copy of the whole body, however much of this one was read. Copies are for
/// one after the other: the next can start when the one before is dropped, and all that it has read
/// was kept. Once one has been read to its end and was kept, the others can be sent at the same
/// time as well. [`can_replay`](Self::can_replay) tells.
///
/// A body that is at its end when it is wrapped costs nothing: no allocation, no lock.
///
/// # What is kept
///
/// Data and trailers as they pass, up to a bound, 64 KiB by default; of trailers, names and values
/// count. Data is shared, not copied, so the buffers that it is part of stay; frames of some bytes
/// that come in great number are put together. What is known not to fit, by its
/// [size hint](Body::size_hint), is not kept at all. When there is no other copy, nothing is kept:
/// clone it *before* it is read. What was kept is let go with the last copy.
///
/// A body that was not read, because there was no connection, can be sent whatever its size.
///
/// # Errors
///
/// Those of the body inside, and [`CannotReplay`](super::CannotReplay) from a copy that cannot
/// yield the whole body. Such a copy yields nothing else, and does not wait.
///
/// # Examples
///
/// ```
/// use evenkeel::http::ReplayBody;
/// use http_body_util::{BodyExt, Full};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower::BoxError> {
/// let first = ReplayBody::new(Full::new("text".as_bytes()));
/// let second = first.clone();
///
/// // The first try sends it, and fails.
/// assert_eq!(first.collect().await?.to_bytes(), "text");
/// assert!(second.can_replay());
/// assert_eq!(second.collect().await?.to_bytes(), "text");
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct ReplayBody<B> {
    kind: Kind<B>,
}

enum Kind<B> {
    Empty,
    Reader(Reader<B>),
}

/// One copy of a body that is not empty.
struct Reader<B> {
    slot: Arc<Slot<B>>,
    at: At<B>,
    /// Bytes of data that were yielded.
    passed: u64,
}

/// Where a copy is.
enum At<B> {
    Start,
    /// In the body itself, or what was read of it before.
    Recording(Recording<B>),
    /// In the frames of a body that was read to its end.
    Whole {
        next: usize,
    },
    /// At the end of a body that was not kept.
    End,
}

impl<B: Body> ReplayBody<B> {
    /// Wraps a body, of which up to 64 KiB are kept.
    pub fn new(body: B) -> Self {
        Self::with_max_bytes(body, DEFAULT_MAX_BYTES)
    }

    /// Wraps a body, of which up to so many bytes are kept.
    ///
    /// With 0, a body that is not empty can be sent again only if it was not read at all.
    pub fn with_max_bytes(body: B, max_bytes: usize) -> Self {
        let kind = if body.is_end_stream() {
            Kind::Empty
        } else {
            Kind::Reader(Reader::new(Arc::new(Slot::new(body, max_bytes))))
        };
        Self { kind }
    }
}

impl<B> ReplayBody<B> {
    /// Returns whether a copy that starts now would get the whole body.
    ///
    /// So while another copy is being sent, this is false until that has come to the body's end;
    /// and it is false for good when more was read than is kept, or the body has failed.
    pub fn can_replay(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Reader(reader) => reader.slot.can_start(),
        }
    }

    /// Waits until no copy is being sent that has not come to the body's end, and yields what
    /// [`can_replay`](Self::can_replay) says then.
    ///
    /// A failed request can hold its body a moment longer than the caller has its error: over
    /// HTTP/2, hyper sends it from another task. So wait before sending again, but not for long: a
    /// server that has answered early may still be sent the rest.
    ///
    /// A copy that is dropped, or one that comes to the end, ends the wait; so who waits on a copy
    /// that it is reading itself waits for ever.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::http::ReplayBody;
    /// use http_body_util::{BodyExt, Full};
    /// use std::time::Duration;
    /// use tokio::time::timeout;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let first = ReplayBody::new(Full::new("text".as_bytes()));
    /// let kept = first.clone();
    /// tokio::spawn(first.collect());
    ///
    /// let wait = timeout(Duration::from_millis(100), kept.released());
    /// assert_eq!(wait.await, Ok(true));
    /// # }
    /// ```
    pub fn released(&self) -> Released<B> {
        Released::new(match &self.kind {
            Kind::Empty => None,
            Kind::Reader(reader) => Some(Arc::clone(&reader.slot)),
        })
    }
}

impl<B> Clone for ReplayBody<B> {
    /// Returns another copy of the whole body, at its beginning.
    fn clone(&self) -> Self {
        let kind = match &self.kind {
            Kind::Empty => Kind::Empty,
            Kind::Reader(reader) => Kind::Reader(Reader::new(Arc::clone(&reader.slot))),
        };
        Self { kind }
    }
}

impl<B: Body> Body for ReplayBody<B>
where
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let Kind::Reader(reader) = &mut self.kind else {
            return Poll::Ready(None);
        };
        let frame = ready!(reader.poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            reader.passed = reader.passed.saturating_add(bytes as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Reader(reader) => reader.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Reader(reader) => reader.size_hint(),
        }
    }
}

impl<B> fmt::Debug for ReplayBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayBody")
            .field("can_replay", &self.can_replay())
            .finish_non_exhaustive()
    }
}

impl<B> Reader<B> {
    fn new(slot: Arc<Slot<B>>) -> Self {
        Self {
            slot,
            at: At::Start,
            passed: 0,
        }
    }

    /// Goes to the end, and lets the others have the body, which was read to its end.
    fn end(&mut self) {
        match std::mem::replace(&mut self.at, At::End) {
            At::Recording(recording) if recording.lost().is_none() => {
                self.slot.publish(recording.into_frames());
            }
            at => self.at = at,
        }
        self.leave();
    }

    /// Gives back the body, if it was taken.
    fn leave(&mut self) {
        if let At::Recording(recording) = std::mem::replace(&mut self.at, At::End) {
            self.slot.put_back(recording);
        }
    }
}

impl<B: Body> Reader<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
    where
        B::Error: Into<BoxError>,
    {
        if let At::Start = self.at {
            self.at = match self.slot.start() {
                Ok(Start::Recording(recording)) => At::Recording(recording),
                Ok(Start::Whole) => At::Whole { next: 0 },
                // It stays where it is: an end, asked for next, would look like that of the body.
                Err(error) => return Poll::Ready(Some(Err(error.into()))),
            };
        }
        match &mut self.at {
            At::Recording(recording) => {
                // Nobody but this copy could be cloned then.
                let wanted = || Arc::strong_count(&self.slot) > 1;
                let frame = ready!(recording.poll_frame(wanted, cx));
                let ended = match &frame {
                    None => true,
                    Some(Ok(_)) => recording.is_end_stream(),
                    Some(Err(_)) => false,
                };
                if ended {
                    self.end();
                }
                Poll::Ready(frame)
            }
            At::Whole { next } => {
                let kept = self.slot.whole().and_then(|frames| frames.get(*next));
                *next += usize::from(kept.is_some());
                Poll::Ready(kept.map(|kept| Ok(kept.frame())))
            }
            At::Start | At::End => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.at {
            At::Start => false,
            At::Recording(recording) => recording.is_end_stream(),
            At::Whole { next } => self.slot.whole().is_none_or(|frames| *next >= frames.len()),
            At::End => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        if self.is_end_stream() {
            return SizeHint::with_exact(0);
        }
        less(self.slot.size_hint(), self.passed)
    }
}

impl<B> Drop for Reader<B> {
    fn drop(&mut self) {
        self.leave();
    }
}

/// Returns what is left of a size when so many bytes have passed.
fn less(whole: &SizeHint, passed: u64) -> SizeHint {
    let mut hint = SizeHint::new();
    if let Some(upper) = whole.upper() {
        hint.set_upper(upper.saturating_sub(passed));
    }
    hint.set_lower(whole.lower().saturating_sub(passed));
    hint
}
