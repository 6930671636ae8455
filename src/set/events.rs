use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use super::sources::SourceState;
use crate::backend::{State, Why};

/// Something that happened to a pool, from [`Pool::events`](crate::Pool::events).
#[derive(Clone, Debug, PartialEq)]
pub struct PoolEvent {
    at: Instant,
    what: Happened,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Happened {
    /// A backend joined.
    #[non_exhaustive]
    Joined {
        /// Its id.
        backend: Arc<str>,
        /// How it begins.
        state: State,
    },
    /// A backend left.
    #[non_exhaustive]
    Left {
        /// Its id.
        backend: Arc<str>,
    },
    /// Another thing is thought of a backend than before.
    #[non_exhaustive]
    Changed {
        /// Its id.
        backend: Arc<str>,
        /// How it was.
        from: State,
        /// How it is.
        to: State,
        /// Why, if that is more than an operator's order.
        why: Option<Arc<Why>>,
        /// Until when, if that is known.
        until: Option<Instant>,
    },
    /// A tier began, or ceased, to [ignore health](super::Rules::panic_threshold).
    #[non_exhaustive]
    Panic {
        /// Which tier.
        priority: u32,
        /// Whether it began.
        on: bool,
    },
    /// A [source](super::PoolStatus::sources) of the members is in another state than before, or has
    /// another trouble.
    #[non_exhaustive]
    Source {
        /// What it is called.
        source: Arc<str>,
        /// How it is.
        state: SourceState,
        /// What went wrong, if anything did.
        error: Option<Arc<str>>,
    },
    /// A source has an entry that is no good, which is left out. Told once, as long as the entry
    /// stays like that.
    #[non_exhaustive]
    Skipped {
        /// What the source is called.
        source: Arc<str>,
        /// Which entry.
        entry: Arc<str>,
        /// What is wrong with it.
        why: Arc<str>,
    },
    /// Whoever reads was too slow, and does not learn of so many events.
    Missed(u64),
}

/// The events of a pool, in their order, from the moment that this was made.
///
/// The pool keeps the last 1,024. Ends when the pool is dropped.
///
/// With the feature `tower` it is a `futures_core::Stream`.
///
/// # Cancel safety
///
/// [`next`](Self::next) loses nothing when it is dropped.
///
/// # Examples
///
/// ```
/// use evenkeel::{Backend, Pool};
///
/// let pool = Pool::from([Backend::new("a", ())]);
/// let mut events = pool.events();
/// pool.drain("a");
/// let event = events.try_next().expect("something happened");
/// assert_eq!(event.to_string(), "a: healthy -> draining");
/// ```
#[must_use]
pub struct Events {
    log: Arc<Log>,
    next: u64,
    ticket: u64,
}

/// What happened lately, and who waits for more.
pub(super) struct Log(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    events: VecDeque<PoolEvent>,
    /// The number of the event after the last.
    end: u64,
    closed: bool,
    /// Since those who wait were woken last.
    news: bool,
    waiting: Vec<(u64, Waker)>,
    tickets: u64,
}

const KEPT: usize = 1024;

impl Log {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// Notes an event; whoever waits for it is woken by [`wake`](Self::wake).
    pub(super) fn push(&self, at: Instant, what: Happened) {
        let mut inner = self.inner();
        if inner.events.len() == KEPT {
            inner.events.pop_front();
        }
        inner.events.push_back(PoolEvent { at, what });
        inner.end += 1;
        inner.news = true;
    }

    pub(super) fn close(&self) {
        let mut inner = self.inner();
        (inner.closed, inner.news) = (true, true);
        drop(inner);
        self.wake();
    }

    /// Wakes all who wait, if there is anything new. Not under a lock: a waker is somebody else's
    /// code.
    pub(super) fn wake(&self) {
        let mut inner = self.inner();
        if !std::mem::take(&mut inner.news) {
            return;
        }
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        for (_, waker) in waiting {
            waker.wake();
        }
    }

    pub(super) fn read(self: &Arc<Self>) -> Events {
        let mut inner = self.inner();
        inner.tickets += 1;
        Events {
            log: Arc::clone(self),
            next: inner.end,
            ticket: inner.tickets,
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn stop_waiting(&mut self, ticket: u64) -> Option<(u64, Waker)> {
        let mut waiting = self.waiting.iter();
        let at = waiting.position(|(other, _)| *other == ticket)?;
        Some(self.waiting.swap_remove(at))
    }
}

impl Events {
    /// Returns the next event, or `None` when the pool has been dropped.
    pub async fn next(&mut self) -> Option<PoolEvent> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// Returns the next event, if there is one already.
    pub fn try_next(&mut self) -> Option<PoolEvent> {
        let log = Arc::clone(&self.log);
        self.read(&log.inner())
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<PoolEvent>> {
        let log = Arc::clone(&self.log);
        let waker = cx.waker().clone();
        let mut inner = log.inner();
        if let Some(event) = self.read(&inner) {
            return Poll::Ready(Some(event));
        }
        if inner.closed {
            return Poll::Ready(None);
        }
        let before = inner.stop_waiting(self.ticket);
        inner.waiting.push((self.ticket, waker));
        drop(inner);
        drop(before);
        Poll::Pending
    }

    fn read(&mut self, inner: &Inner) -> Option<PoolEvent> {
        let first = inner.end - inner.events.len() as u64;
        let oldest = inner.events.front()?;
        if self.next < first {
            let missed = first - self.next;
            self.next = first;
            return Some(PoolEvent {
                at: oldest.at,
                what: Happened::Missed(missed),
            });
        }
        let event = inner.events.get((self.next - first) as usize)?.clone();
        self.next += 1;
        Some(event)
    }
}

#[cfg(feature = "tower")]
impl futures_core::Stream for Events {
    type Item = PoolEvent;

    fn poll_next(self: std::pin::Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<PoolEvent>> {
        self.get_mut().poll(cx)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let mut inner = self.log.inner();
        let mine = inner.stop_waiting(self.ticket);
        drop(inner);
        // A waker's `Drop` is somebody else's code: without the lock.
        drop(mine);
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl PoolEvent {
    /// Returns when it happened, by the clock that tokio's `Instant::now().into_std()` reads, which
    /// tests can pause.
    pub fn at(&self) -> Instant {
        self.at
    }

    /// Returns what happened.
    pub fn what(&self) -> &Happened {
        &self.what
    }

    /// Returns the backend that it happened to, if it did to one.
    pub fn backend(&self) -> Option<&str> {
        match &self.what {
            Happened::Joined { backend, .. }
            | Happened::Left { backend }
            | Happened::Changed { backend, .. } => Some(backend),
            Happened::Panic { .. }
            | Happened::Source { .. }
            | Happened::Skipped { .. }
            | Happened::Missed(_) => None,
        }
    }
}

impl fmt::Display for PoolEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            Happened::Joined { backend, state } => write!(f, "{backend}: joined, {state}"),
            Happened::Left { backend } => write!(f, "{backend}: left"),
            Happened::Changed {
                backend,
                from,
                to,
                why,
                until,
            } => {
                write!(f, "{backend}: {from} -> {to}")?;
                if let Some(until) = until {
                    let wait = until.saturating_duration_since(self.at);
                    write!(f, " for {:.1} s", wait.as_secs_f64())?;
                }
                match why {
                    Some(why) => write!(f, " ({why})"),
                    None => Ok(()),
                }
            }
            Happened::Panic { priority, on: true } => write!(f, "tier {priority}: panic"),
            Happened::Panic {
                priority,
                on: false,
            } => write!(f, "tier {priority}: no more panic"),
            Happened::Source {
                source,
                state,
                error,
            } => {
                write!(f, "{source}: {state}")?;
                match error {
                    Some(error) => write!(f, " ({error})"),
                    None => Ok(()),
                }
            }
            Happened::Skipped { source, entry, why } => {
                write!(f, "{source}: {entry} skipped: {why}")
            }
            Happened::Missed(count) => write!(f, "{count} events were missed"),
        }
    }
}
