use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gate::after;
use super::observation::Observer;
use super::{Event, Live, Observation, Outcome};
use crate::time::{now, since_epoch};

/// One request at one backend, from its dispatch to its end.
///
/// While it lives, the backend has one more request in flight. It takes note of the outcome once:
///
/// ```text
///            head                    finish
/// waiting ---------> answering --------------------> over
///    |                   |  settle (a failed head:      ^
///    +-------------------+   the outcome is known, the  |
///    |    dropped = cancelled   request still runs)     |
///    +--------------------------------------------------+
/// ```
///
/// Dropping it without a word means [`Outcome::Cancelled`]: nobody waited for the end.
///
/// # Examples
///
/// See [`Pool::start`](crate::Pool::start).
#[must_use = "dropping it ends the request as cancelled"]
pub struct Completion {
    live: Arc<Live>,
    observer: Option<Arc<dyn Observer>>,
    /// In nanoseconds, if it is measured.
    since: u64,
    /// The request is to show whether its backend is well again.
    trial: Option<NonZeroU32>,
    /// What is still to be told of it.
    left: u8,
    outcome: Option<Outcome>,
}

/// Its latency is measured, and its head has not arrived. Beside the flags of [`Live`].
const WAITING: u8 = 0x80;

impl Completion {
    /// Counts the request in.
    #[inline]
    pub(crate) fn begin(live: &Arc<Live>, trial: Option<NonZeroU32>) -> Self {
        let left = live.enter();
        Self {
            live: Arc::clone(live),
            observer: None,
            since: 0,
            trial,
            left,
            outcome: None,
        }
    }

    /// Whether its latency should be measured, even if no picker wants to know: of one in four.
    #[inline]
    pub(crate) fn is_sample(&self) -> bool {
        self.left & Live::MEASURED != 0 && fastrand::u8(..) < 64
    }

    /// Measures its latency, and tells `observer` of its steps.
    #[inline]
    pub(crate) fn watched(mut self, now: Instant, observer: Option<Arc<dyn Observer>>) -> Self {
        self.since = since_epoch(now);
        self.live.await_head(self.since);
        self.left |= WAITING;
        if let Some(observer) = &observer {
            tell(&**observer, &self.live, now, Event::Dispatched);
        }
        // Only now: if the observer panics there, it is not asked again while that unwinds.
        self.observer = observer;
        self
    }

    /// Returns the id of the backend.
    pub fn backend(&self) -> &str {
        self.live.id()
    }

    #[cfg(feature = "tower")]
    pub(crate) fn backend_id(&self) -> &Arc<str> {
        self.live.shared_id()
    }

    /// Notes that the response head has arrived and looks good. This is what latency measures.
    /// The outcome is known when the response has ended.
    #[inline]
    pub fn head(&mut self) {
        self.note_head(Outcome::Success);
        if let Some(trial) = self.trial {
            self.live.gate().answered(trial);
        }
    }

    /// Notes that the response head has arrived and that its outcome is final: later ones are
    /// ignored. The request stays in flight until this is finished or dropped.
    pub fn settle(&mut self, outcome: Outcome) {
        if self.outcome.is_none() {
            self.outcome = Some(outcome);
            self.note_head(outcome);
            self.record(outcome);
        }
    }

    /// Notes that the backend asks to be spared for so long, as with HTTP's `Retry-After`.
    ///
    /// While its health is [watched](crate::health), it gets a small share of the requests for that
    /// time, if this is [rejected](Outcome::Rejected).
    pub fn retry_after(&mut self, wait: Duration) {
        self.live.retry_at(after(since_epoch(now()), wait));
    }

    /// Notes that the backend says that it is degraded, and better used after others.
    ///
    /// While its health is [watched](crate::health), it is, for a while.
    pub fn degraded(&mut self) {
        self.live.is_degraded();
    }

    /// Ends the request. Without a [`head`](Self::head) before, latency is measured up to now.
    #[inline]
    pub fn finish(mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }

    #[inline]
    fn note_head(&mut self, outcome: Outcome) {
        if self.left & WAITING != 0 {
            self.left &= !WAITING;
            note_head(&self.live, self.since, outcome, self.observer.as_deref());
        }
    }
}

impl Completion {
    fn record(&mut self, outcome: Outcome) {
        if self.left & Live::RECORDED != 0 {
            self.left &= !Live::RECORDED;
            self.live.note_outcome(outcome);
        }
        if let Some(trial) = self.trial.take() {
            self.live.end_trial(trial, outcome);
        }
    }
}

// Free functions that take what they need: a method would keep the whole completion in memory, and
// off the registers, on the path of each request.

fn note_head(live: &Live, since: u64, outcome: Outcome, observer: Option<&dyn Observer>) {
    let now = now();
    let latency = live.end_await(since, outcome, since_epoch(now));
    if let Some(observer) = observer {
        tell(observer, live, now, Event::Head { latency, outcome });
    }
}

#[cold]
fn note_end(
    live: &Live,
    since: u64,
    waiting: bool,
    outcome: Outcome,
    observer: Option<&dyn Observer>,
) {
    let now = now();
    let end = since_epoch(now);
    let duration = Duration::from_nanos(end.saturating_sub(since));
    if waiting {
        live.end_await(since, outcome, end);
    }
    if let Some(observer) = observer {
        tell(observer, live, now, Event::Ended { duration, outcome });
    }
}

#[inline(never)]
fn tell(observer: &dyn Observer, live: &Live, at: Instant, event: Event) {
    observer.observe(live.handle(), &Observation::new(at, event));
}

impl Drop for Completion {
    #[inline]
    fn drop(&mut self) {
        // The count goes last, so that a picker never sees the room before it sees what the request
        // has shown.
        if self.left & (WAITING | Live::RECORDED) != 0
            || self.observer.is_some()
            || self.trial.is_some()
        {
            let if_the_observer_panics = Leave(&self.live);
            let outcome = self.outcome.unwrap_or(Outcome::Cancelled);
            if self.left & Live::RECORDED != 0 {
                self.live.note_outcome(outcome);
            }
            if let Some(trial) = self.trial {
                self.live.end_trial(trial, outcome);
            }
            let waiting = self.left & WAITING != 0;
            if waiting || self.observer.is_some() {
                let observer = self.observer.as_deref();
                note_end(&self.live, self.since, waiting, outcome, observer);
            }
            std::mem::forget(if_the_observer_panics);
        }
        self.live.leave();
    }
}

/// Counts a request back when it is dropped.
struct Leave<'a>(&'a Live);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

impl fmt::Debug for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Completion")
            .field("backend", &self.backend())
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}
