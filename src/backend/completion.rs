use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gate::{Trial, after};
use super::notes::Notes;
use super::observation::Listener;
use super::{Event, Live, Observation, Outcome};
use crate::load::LoadReport;
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
    observer: Option<Arc<dyn Listener>>,
    /// In nanoseconds, if it is measured.
    since: u64,
    notes: Notes,
}

/// When a request begins whose steps are timed, and whether that is part of its backend's latency in
/// any case: otherwise that of one in eight is.
#[derive(Clone, Copy)]
pub(crate) struct Watch {
    /// And the same in nanoseconds since the epoch.
    pub(crate) at: (Instant, u64),
    pub(crate) averaged: bool,
}

impl Watch {
    pub(crate) fn now(averaged: bool) -> Self {
        let now = now();
        Self {
            at: (now, since_epoch(now)),
            averaged,
        }
    }
}

impl Completion {
    /// Counts a request in at a backend. It is a trial of it, perhaps; with a time, its latency is
    /// measured, and `observer` is told of its steps.
    ///
    /// Put together from single values at its very end, so that they stay in registers.
    #[inline]
    pub(crate) fn begin(
        live: &Arc<Live>,
        trial: Option<NonZeroU32>,
        watch: Option<Watch>,
        observer: Option<&Arc<dyn Listener>>,
    ) -> Self {
        Self::entered(live, live.enter(), trial, watch, observer)
    }

    /// The same at a backend with a limit, if it has room; see [`Live::enter_below`].
    #[inline(never)]
    pub(crate) fn begin_below(
        live: &Arc<Live>,
        (limit, called): (u32, bool),
        trial: Option<NonZeroU32>,
        watch: Option<Watch>,
        observer: Option<&Arc<dyn Listener>>,
    ) -> Option<Self> {
        let Some(notes) = live.enter_below(limit, called) else {
            if let Some(epoch) = trial {
                drop(Trial::new(Arc::clone(live), epoch));
            }
            return None;
        };
        let watch = watch.or_else(|| live.is_adaptive().then(|| Watch::now(true)));
        Some(Self::entered(live, notes, trial, watch, observer))
    }

    #[inline]
    fn entered(
        live: &Arc<Live>,
        mut notes: Notes,
        trial: Option<NonZeroU32>,
        watch: Option<Watch>,
        observer: Option<&Arc<dyn Listener>>,
    ) -> Self {
        if let Some(trial) = trial {
            notes.set_trial(trial);
        }
        // One request in eight will do to find out who is slow.
        let is_sample = || fastrand::u8(..) < 32;
        let watch = match watch {
            None => (notes.any(Notes::MEASURED) && is_sample()).then(|| Watch::now(true)),
            Some(watch) => Some(Watch {
                averaged: watch.averaged || is_sample(),
                ..watch
            }),
        };
        let (since, observer) = match watch {
            None => (0, None),
            Some(watch) => {
                notes.set(Notes::WAITING);
                if watch.averaged {
                    notes.set(Notes::AVERAGED);
                }
                if observer.is_some() {
                    notes.set(Notes::OBSERVED);
                }
                (dispatched(live, observer, watch), observer.cloned())
            }
        };
        Self {
            live: Arc::clone(live),
            observer,
            since,
            notes,
        }
    }

    /// Returns the id of the backend.
    pub fn backend(&self) -> &str {
        self.live.id()
    }

    #[cfg(feature = "tower")]
    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// For how long its head has been waited for, if that is measured.
    #[cfg(feature = "tower")]
    pub(crate) fn elapsed(&self) -> Option<Duration> {
        let waiting = self.notes.any(Notes::WAITING);
        waiting.then(|| Duration::from_nanos(since_epoch(now()).saturating_sub(self.since)))
    }

    /// Notes that the response head has arrived and looks good. This is what latency measures.
    /// The outcome is known when the response has ended.
    #[inline]
    pub fn head(&mut self) {
        if self.notes.any(Notes::WAITING | Notes::TRIAL) {
            self.note_head(Outcome::Success);
            if let Some(trial) = self.notes.trial() {
                self.live.gate().answered(trial);
            }
        }
    }

    /// Notes that the response head has arrived and that its outcome is final: later ones are
    /// ignored. The request stays in flight until this is finished or dropped.
    pub fn settle(&mut self, outcome: Outcome) {
        if self.notes.outcome().is_none() {
            self.notes.settle(outcome);
            self.note_head(outcome);
            if self.notes.take(Notes::RECORDED) {
                self.live.note_outcome(outcome);
            }
            let trial = self.notes.trial();
            self.notes.take(Notes::TRIAL);
            if let Some(trial) = trial {
                self.live.end_trial(trial, outcome);
            }
        }
    }

    /// Notes that the backend asks to be spared for so long, as with HTTP's `Retry-After`.
    ///
    /// While its health is [watched](crate::health), it gets a small share of the requests for that
    /// time, up to 300 s.
    pub fn retry_after(&mut self, wait: Duration) {
        self.live.retry_at(after(since_epoch(now()), wait));
    }

    /// Notes that the backend says that it is degraded, and better used after others.
    ///
    /// While its health is [watched](crate::health), it is, for a while.
    pub fn degraded(&mut self) {
        self.live.is_degraded();
    }

    /// Notes what the backend has said of its load on the response. To be called before
    /// [`head`](Self::head). Nobody checks whether it is true: pass on only what you believe.
    pub fn report(&mut self, report: LoadReport) {
        if let Some(observer) = self.observer.as_deref() {
            let now = now();
            let event = Event::Reported(report);
            tell(observer, &self.live, (now, since_epoch(now)), event);
        }
    }

    /// Ends the request. Without a [`head`](Self::head) before, latency is measured up to now.
    #[inline]
    pub fn finish(mut self, outcome: Outcome) {
        // Otherwise nobody wants to know.
        if self.notes.any(Notes::END) {
            self.notes.settle(outcome);
        }
    }

    #[inline]
    fn note_head(&mut self, outcome: Outcome) {
        if self.notes.take(Notes::WAITING) {
            let averaged = self.notes.any(Notes::AVERAGED);
            let observer = self.observer.as_deref();
            note_head(&self.live, (self.since, averaged), outcome, observer);
        }
    }
}

/// The same steps at a time of the caller's, who has a clock of their own.
#[cfg(feature = "sim")]
impl Completion {
    pub(crate) fn report_at(&mut self, report: LoadReport, at: Instant) {
        if let Some(observer) = self.observer.as_deref() {
            let event = Event::Reported(report);
            tell(observer, &self.live, (at, since_epoch(at)), event);
        }
    }

    pub(crate) fn finish_at(mut self, outcome: Outcome, at: Instant) {
        self.notes.settle(outcome);
        let notes = self.notes;
        // The rest, which is told no time, is left to `drop`.
        if self.notes.take(Notes::WAITING | Notes::OBSERVED) {
            let observer = self.observer.as_deref();
            note_end(&self.live, self.since, notes, outcome, observer, at);
        }
    }
}

// Free functions that take what they need: a method would keep the whole completion in memory, and
// off the registers, on the path of each request.

fn note_head(
    live: &Live,
    (since, averaged): (u64, bool),
    outcome: Outcome,
    observer: Option<&dyn Listener>,
) {
    let now = now();
    let nanos = since_epoch(now);
    let latency = live.end_await(since, averaged, outcome, nanos);
    if let Some(observer) = observer {
        tell(
            observer,
            live,
            (now, nanos),
            Event::Head { latency, outcome },
        );
    }
}

#[cold]
fn note_end(
    live: &Live,
    since: u64,
    notes: Notes,
    outcome: Outcome,
    observer: Option<&dyn Listener>,
    now: Instant,
) {
    let end = since_epoch(now);
    let duration = Duration::from_nanos(end.saturating_sub(since));
    let waiting = notes.any(Notes::WAITING);
    if waiting {
        live.end_await(since, notes.any(Notes::AVERAGED), outcome, end);
    }
    let Some(observer) = observer else {
        return;
    };
    if waiting && outcome == Outcome::Success {
        let latency = duration;
        tell(observer, live, (now, end), Event::Head { latency, outcome });
    }
    let after_head = !waiting || outcome == Outcome::Success;
    let ended = Event::Ended {
        duration,
        outcome,
        after_head,
    };
    tell(observer, live, (now, end), ended);
}

/// Begins to measure, and returns since when. Counts the request back if the observer panics, who
/// is not asked again.
#[inline(never)]
fn dispatched(live: &Live, observer: Option<&Arc<dyn Listener>>, watch: Watch) -> u64 {
    struct Undo<'a>(&'a Live, u64, bool);

    impl Drop for Undo<'_> {
        fn drop(&mut self) {
            let now = since_epoch(now());
            self.0.end_await(self.1, self.2, Outcome::Cancelled, now);
            self.0.leave();
        }
    }

    let Watch { at, averaged } = watch;
    let since = at.1;
    if averaged {
        live.await_head(since);
    }
    if let Some(observer) = observer {
        let undo = Undo(live, since, averaged);
        tell(&**observer, live, at, Event::Dispatched);
        std::mem::forget(undo);
    }
    since
}

#[inline(never)]
fn tell(observer: &dyn Listener, live: &Live, at: (Instant, u64), event: Event) {
    observer.hear(live, &Observation::new_at(at.0, at.1, event));
}

impl Drop for Completion {
    #[inline]
    fn drop(&mut self) {
        // The count goes last, so that a picker never sees the room before it sees what the request
        // has shown.
        if self.notes.any(Notes::END) {
            let if_the_observer_panics = Leave(&self.live);
            let outcome = self.notes.outcome().unwrap_or(Outcome::Cancelled);
            if self.notes.any(Notes::RECORDED) {
                self.live.note_outcome(outcome);
            }
            if let Some(trial) = self.notes.trial() {
                self.live.end_trial(trial, outcome);
            }
            if self.notes.any(Notes::WAITING | Notes::OBSERVED) {
                let observer = self.observer.as_deref();
                note_end(&self.live, self.since, self.notes, outcome, observer, now());
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
            .field("outcome", &self.notes.outcome())
            .finish_non_exhaustive()
    }
}
