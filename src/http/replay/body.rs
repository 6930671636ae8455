use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tower::BoxError;

use super::DEFAULT_MAX_BYTES;
use super::recording::Recording;
use super::slot::{Slot, Start};
use super::waiting::Ticket;
use crate::balance::Awaited;

/// A request body that can be sent again.
///
/// A clone is another copy of the whole body, however much of this one was read. Copies are for
/// one after the other: the next waits until the one before is dropped, and begins with what that
/// has read. Once one has been read to its end and was kept, the others can be sent at the same time
/// as well. [`can_replay`](Self::can_replay) and [`is_whole`](Self::is_whole) tell.
///
/// A failed request can hold its body a moment longer than the caller has its error: over HTTP/2,
/// hyper sends it from another task. So a copy can be sent at once, and waits no longer than that
/// moment. But a server that has answered early may still be sent the rest, for as long as that
/// takes: give the next attempt a time-out.
///
/// A body that is at its end when it is wrapped costs nothing: no allocation, no lock.
///
/// # What is kept
///
/// Data and trailers as they pass, up to a bound, 64 KiB by default; of trailers, names and values
/// count. Frames below 8 KiB are copied and put together, into up to twice their bytes: what they
/// are slices of, such as the buffer of a connection, does not stay. Larger ones are shared, with
/// what they are slices of. So a copy can have other frames than the body, of the same data. What is
/// known not to fit, by its [size hint](Body::size_hint), is not kept at all. When there is no other
/// copy, nothing is kept: clone it *before* it is read. What was kept is let go with the last copy.
///
/// A body that was not read, because there was no connection, can be sent whatever its size.
///
/// # Errors
///
/// [`RequestBodyError`](super::RequestBodyError) where the body inside fails, and
/// [`CannotReplay`](super::CannotReplay) from a copy that cannot yield the whole body: at once, or
/// when that becomes known while it waits. Such a copy yields nothing else.
///
/// # Cancel safety
///
/// A copy can be dropped at any point; those that wait go on. One that waits for a copy which the
/// same task is to read waits for ever.
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

/// Small, since most requests have no body, and all are moved about.
enum Kind<B> {
    Empty,
    Reader(Box<Reader<B>>),
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
    /// Not begun; with a ticket it waits for another copy.
    Start(Option<Ticket>),
    /// In the body itself, or what was read of it before.
    Recording(Recording<B>),
    /// In the frames of a body that was read to its end.
    Whole { next: usize },
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
            Kind::Reader(Box::new(Reader::new(Arc::new(Slot::new(body, max_bytes)))))
        };
        Self { kind }
    }
}

impl<B> ReplayBody<B> {
    /// Returns whether a copy can still get the whole body.
    ///
    /// It is false for good once more was read than is kept, or the body has failed. While another
    /// copy is being sent and all is kept so far, it is true: a copy that is sent now waits for that
    /// one, and fails if more comes than is kept.
    pub fn can_replay(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Reader(reader) => reader.slot.can_start(),
        }
    }

    /// Returns whether the body is empty, or was read to its end and kept: any number of copies can
    /// be sent at once then, and none waits.
    pub fn is_whole(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Reader(reader) => reader.slot.whole().is_some(),
        }
    }

    /// Returns whether the caller is waited for: whether a copy that is being sent has asked the body
    /// for more, and there is none yet.
    pub fn awaited(&self) -> Awaited {
        match &self.kind {
            Kind::Empty => Awaited::Never,
            Kind::Reader(reader) => reader.slot.awaited(),
        }
    }
}

impl<B> Clone for ReplayBody<B> {
    /// Returns another copy of the whole body, at its beginning.
    fn clone(&self) -> Self {
        let kind = match &self.kind {
            Kind::Empty => Kind::Empty,
            Kind::Reader(reader) => Kind::Reader(Box::new(Reader::new(Arc::clone(&reader.slot)))),
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
            .field("is_whole", &self.is_whole())
            .finish_non_exhaustive()
    }
}

impl<B> Reader<B> {
    fn new(slot: Arc<Slot<B>>) -> Self {
        Self {
            slot,
            at: At::Start(None),
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

    /// Gives back the body, if it was taken, and does not wait for it.
    fn leave(&mut self) {
        match std::mem::replace(&mut self.at, At::End) {
            At::Recording(recording) => self.slot.put_back(recording),
            At::Start(Some(ticket)) => self.slot.leave(ticket),
            At::Start(None) | At::Whole { .. } | At::End => {}
        }
    }
}

impl<B: Body> Reader<B> {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
    where
        B::Error: Into<BoxError>,
    {
        if let At::Start(ticket) = &mut self.at {
            self.at = match ready!(self.slot.poll_start(ticket, cx)) {
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
                let was_lost = recording.lost().is_some();
                let Poll::Ready(frame) = recording.poll_frame(wanted, cx) else {
                    self.slot.starves();
                    return Poll::Pending;
                };
                self.slot.fed();
                if let Some(why) = recording.lost()
                    && !was_lost
                {
                    self.slot.lose(why);
                }
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
            At::Start(_) | At::End => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.at {
            At::Start(_) => false,
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
