use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use http_body::{Body, SizeHint};

use super::CannotReplay;
use super::recording::{Kept, Recording};

/// What all copies of a body share.
pub(super) struct Slot<B> {
    state: Mutex<State<B>>,
    /// Apart from the state, so that copies read it without a lock; the state stays taken then.
    whole: OnceLock<Vec<Kept>>,
    size_hint: SizeHint,
}

enum State<B> {
    Here(Recording<B>),
    /// With who waits until it is not.
    Taken(Vec<Waker>),
    Lost(CannotReplay),
}

/// What a copy finds when it starts.
pub(super) enum Start<B> {
    Recording(Recording<B>),
    Whole,
}

impl<B: Body> Slot<B> {
    pub(super) fn new(body: B, max_bytes: usize) -> Self {
        Self {
            size_hint: body.size_hint(),
            state: Mutex::new(State::Here(Recording::new(body, max_bytes))),
            whole: OnceLock::new(),
        }
    }
}

impl<B> Slot<B> {
    /// Takes what there is to send.
    pub(super) fn start(&self) -> Result<Start<B>, CannotReplay> {
        let mut state = self.lock();
        let before = std::mem::replace(&mut *state, State::Taken(Vec::new()));
        let (unchanged, found) = match before {
            State::Here(recording) => return Ok(Start::Recording(recording)),
            taken @ State::Taken(_) if self.whole().is_some() => (taken, Ok(Start::Whole)),
            taken @ State::Taken(_) => (taken, Err(CannotReplay::InUse)),
            State::Lost(why) => (State::Lost(why), Err(why)),
        };
        *state = unchanged;
        found
    }

    /// Gives back what was taken, which may be lost.
    pub(super) fn put_back(&self, mut recording: Recording<B>) {
        recording.rewind();
        // A body that is lost is dropped as the argument it is: after the lock.
        let state = match recording.lost() {
            Some(why) => State::Lost(why),
            None => State::Here(recording),
        };
        let before = std::mem::replace(&mut *self.lock(), state);
        if let State::Taken(waiting) = before {
            waiting.into_iter().for_each(Waker::wake);
        }
    }

    /// Publishes the frames of the body, of which all were read and kept.
    pub(super) fn publish(&self, frames: Vec<Kept>) {
        // Only who has taken the body comes here, and it is not given back then.
        let _ = self.whole.set(frames);
        // Who waits looks at what is whole under the lock, so nobody comes after this.
        let waiting = match &mut *self.lock() {
            State::Taken(waiting) => std::mem::take(waiting),
            State::Here(_) | State::Lost(_) => Vec::new(),
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Waits until it is not taken, and returns whether [`start`](Self::start) would succeed.
    pub(super) fn poll_released(&self, cx: &mut Context<'_>) -> Poll<bool> {
        match &mut *self.lock() {
            State::Here(_) => Poll::Ready(true),
            State::Taken(_) if self.whole().is_some() => Poll::Ready(true),
            State::Taken(waiting) => {
                if !waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                    waiting.push(cx.waker().clone());
                }
                Poll::Pending
            }
            State::Lost(_) => Poll::Ready(false),
        }
    }

    /// Returns the frames of the body, if all were read and kept.
    pub(super) fn whole(&self) -> Option<&[Kept]> {
        self.whole.get().map(Vec::as_slice)
    }

    /// Whether [`start`](Self::start) would succeed.
    pub(super) fn can_start(&self) -> bool {
        match &*self.lock() {
            State::Here(_) => true,
            State::Taken(_) => self.whole().is_some(),
            State::Lost(_) => false,
        }
    }

    /// Returns what the body said of its size before it was read.
    ///
    /// Not what is known once it is whole: a body that was sent in chunks, with trailers perhaps,
    /// is to be sent in chunks again.
    pub(super) fn size_hint(&self) -> &SizeHint {
        &self.size_hint
    }

    fn lock(&self) -> MutexGuard<'_, State<B>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
