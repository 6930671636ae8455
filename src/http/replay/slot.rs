use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use http_body::{Body, SizeHint};

use super::CannotReplay;
use super::recording::{Kept, Recording};

/// What all copies of a body share.
pub(super) struct Slot<B> {
    state: Mutex<State<B>>,
    /// Apart from the state, so that copies read it without a lock.
    whole: OnceLock<Vec<Kept>>,
    size_hint: SizeHint,
}

enum State<B> {
    Here(Recording<B>),
    Taken,
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
        if self.whole().is_some() {
            return Ok(Start::Whole);
        }
        let mut state = self.lock();
        match std::mem::replace(&mut *state, State::Taken) {
            State::Here(recording) => Ok(Start::Recording(recording)),
            // It can have become whole since.
            State::Taken if self.whole().is_some() => Ok(Start::Whole),
            State::Taken => Err(CannotReplay::InUse),
            State::Lost(why) => {
                *state = State::Lost(why);
                Err(why)
            }
        }
    }

    /// Gives back what was taken, which may be lost.
    pub(super) fn put_back(&self, mut recording: Recording<B>) {
        recording.rewind();
        let mut state = self.lock();
        // A body that is lost is dropped as the argument it is: after the lock.
        *state = match recording.lost() {
            Some(why) => State::Lost(why),
            None => State::Here(recording),
        };
    }

    /// Publishes the frames of the body, of which all were read and kept.
    pub(super) fn publish(&self, frames: Vec<Kept>) {
        // Only who has taken the body comes here, and it is not given back then.
        let _ = self.whole.set(frames);
    }

    /// Returns the frames of the body, if all were read and kept.
    pub(super) fn whole(&self) -> Option<&[Kept]> {
        self.whole.get().map(Vec::as_slice)
    }

    /// Whether [`start`](Self::start) would succeed.
    pub(super) fn can_start(&self) -> bool {
        if self.whole().is_some() {
            return true;
        }
        match &*self.lock() {
            State::Here(_) => true,
            State::Taken => self.whole().is_some(),
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
