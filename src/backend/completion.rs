use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    watch: Option<Watch>,
    observer: Option<Arc<dyn Observer>>,
    outcome: Option<Outcome>,
}

/// The time side of a request, for those who asked for it.
struct Watch {
    /// In nanoseconds, as all that is done with it wants it.
    since: u64,
    headed: bool,
}

impl Completion {
    /// Counts the request in.
    #[inline]
    pub(crate) fn begin(live: &Arc<Live>) -> Self {
        live.enter();
        Self {
            live: Arc::clone(live),
            watch: None,
            observer: None,
            outcome: None,
        }
    }

    /// Measures its latency, and tells `observer` of its steps.
    pub(crate) fn watched(mut self, now: Instant, observer: Option<Arc<dyn Observer>>) -> Self {
        let since = since_epoch(now);
        self.live.await_head(since);
        self.watch = Some(Watch {
            since,
            headed: false,
        });
        self.observer = observer;
        self.tell(now, Event::Dispatched);
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
    pub fn head(&mut self) {
        self.note_head(Outcome::Success);
    }

    /// Notes that the response head has arrived and that its outcome is final: later ones are
    /// ignored. The request stays in flight until this is finished or dropped.
    pub fn settle(&mut self, outcome: Outcome) {
        if self.outcome.is_none() {
            self.outcome = Some(outcome);
            self.note_head(outcome);
        }
    }

    /// Ends the request. Without a [`head`](Self::head) before, latency is measured up to now.
    pub fn finish(mut self, outcome: Outcome) {
        self.outcome.get_or_insert(outcome);
    }

    fn note_head(&mut self, outcome: Outcome) {
        let Some(watch) = &mut self.watch else { return };
        if std::mem::replace(&mut watch.headed, true) {
            return;
        }
        let now = now();
        let latency = self.live.end_await(watch.since, outcome, since_epoch(now));
        self.tell(now, Event::Head { latency, outcome });
    }

    fn tell(&self, at: Instant, event: Event) {
        if let Some(observer) = &self.observer {
            observer.observe(self.live.handle(), &Observation::new(at, event));
        }
    }
}

impl Drop for Completion {
    #[inline]
    fn drop(&mut self) {
        if let Some(watch) = &self.watch {
            let outcome = self.outcome.unwrap_or(Outcome::Cancelled);
            if !watch.headed || self.observer.is_some() {
                let now = now();
                let nanoseconds = since_epoch(now);
                let duration = Duration::from_nanos(nanoseconds.saturating_sub(watch.since));
                if !watch.headed {
                    self.live.end_await(watch.since, outcome, nanoseconds);
                }
                self.tell(now, Event::Ended { duration, outcome });
            }
        }
        // Last, so that a picker never sees the room before it sees what the request has shown.
        self.live.leave();
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
