use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http_body::{Body, SizeHint};

use super::CannotReplay;
use super::recording::{Kept, Recording};
use super::waiting::{Ticket, Waiting};
use crate::balance::Awaited;
use crate::time::{now, since_epoch};

/// What all copies of a body share.
///
/// A waker, and a body, can hold a copy of the body that they are part of. So none is called or
/// dropped under the lock.
pub(super) struct Slot<B> {
    shared: Mutex<Shared<B>>,
    /// Apart from the state, so that copies read it without a lock.
    whole: OnceLock<Vec<Kept>>,
    /// 0 if the caller was never waited for; [`NOW`] while it is; until when it was, in nanoseconds.
    /// `Relaxed`: whoever asks, asks again.
    awaited: AtomicU64,
    size_hint: SizeHint,
}

const NOW: u64 = u64::MAX;

struct Shared<B> {
    state: State<B>,
    /// Nobody, unless the body is taken.
    waiting: Waiting,
}

enum State<B> {
    Here(Recording<B>),
    Taken,
    Whole,
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
            shared: Mutex::new(Shared {
                state: State::Here(Recording::new(body, max_bytes)),
                waiting: Waiting::default(),
            }),
            whole: OnceLock::new(),
            awaited: AtomicU64::new(0),
        }
    }
}

impl<B> Slot<B> {
    /// Takes what there is to send, or waits while another copy has it.
    pub(super) fn poll_start(
        &self,
        ticket: &mut Option<Ticket>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Start<B>, CannotReplay>> {
        loop {
            if let Some(found) = self.start() {
                return Poll::Ready(found);
            }
            let waker = cx.waker().clone();
            let mut shared = self.lock();
            // It can have been given back since.
            if let State::Taken = shared.state {
                let before = shared.waiting.add(ticket, waker);
                drop(shared);
                drop(before);
                return Poll::Pending;
            }
        }
    }

    /// Takes what there is to send, if no other copy has it.
    fn start(&self) -> Option<Result<Start<B>, CannotReplay>> {
        if self.whole().is_some() {
            return Some(Ok(Start::Whole));
        }
        let state = &mut self.lock().state;
        match std::mem::replace(state, State::Taken) {
            State::Here(recording) => Some(Ok(Start::Recording(recording))),
            State::Taken => None,
            State::Whole => {
                *state = State::Whole;
                Some(Ok(Start::Whole))
            }
            State::Lost(why) => {
                *state = State::Lost(why);
                Some(Err(why))
            }
        }
    }

    /// Waits no longer.
    pub(super) fn leave(&self, ticket: Ticket) {
        let waker = self.lock().waiting.remove(ticket);
        drop(waker);
    }

    /// Gives back what was taken, which may be lost.
    pub(super) fn put_back(&self, mut recording: Recording<B>) {
        self.fed();
        if let Some(why) = recording.lost() {
            self.lose(why);
        } else {
            recording.rewind();
            self.change(State::Here(recording));
        }
    }

    /// Says that there is nothing to send before the caller has more.
    pub(super) fn starves(&self) {
        self.awaited.store(NOW, Ordering::Relaxed);
    }

    /// Says that there was more, or is nobody who waits for it.
    #[inline]
    pub(super) fn fed(&self) {
        if self.awaited.load(Ordering::Relaxed) == NOW {
            self.awaited.store(since_epoch(now()), Ordering::Relaxed);
        }
    }

    /// Says that what was taken cannot be sent again, whether it is given back or not.
    pub(super) fn lose(&self, why: CannotReplay) {
        self.change(State::Lost(why));
    }

    /// Publishes the frames of the body, of which all were read and kept.
    pub(super) fn publish(&self, frames: Vec<Kept>) {
        // Only who has taken the body comes here, and it is not given back then.
        let _ = self.whole.set(frames);
        self.change(State::Whole);
    }

    /// Whether a copy can still get the whole body, perhaps after a wait.
    pub(super) fn can_start(&self) -> bool {
        self.whole().is_some() || !matches!(self.lock().state, State::Lost(_))
    }

    /// Whether the caller is waited for.
    pub(super) fn awaited(&self) -> Awaited {
        match self.awaited.load(Ordering::Relaxed) {
            0 => Awaited::Never,
            NOW => Awaited::Now,
            until => {
                let now = now();
                let ago = Duration::from_nanos(since_epoch(now).saturating_sub(until));
                Awaited::Until(now.checked_sub(ago).unwrap_or(now))
            }
        }
    }

    /// Returns the frames of the body, if all were read and kept.
    pub(super) fn whole(&self) -> Option<&[Kept]> {
        self.whole.get().map(Vec::as_slice)
    }

    /// Returns what the body said of its size before it was read.
    ///
    /// Not what is known once it is whole: a body that was sent in chunks, with trailers perhaps,
    /// is to be sent in chunks again.
    pub(super) fn size_hint(&self) -> &SizeHint {
        &self.size_hint
    }

    /// Ends that the body is taken, and wakes all who wait: one goes on, if there is one, and the
    /// others wait again. If only one were woken, it could be dropped before it goes on.
    fn change(&self, to: State<B>) {
        let mut shared = self.lock();
        shared.state = to;
        let waiting = shared.waiting.take();
        drop(shared);
        waiting.for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Shared<B>> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
