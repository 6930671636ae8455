use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Handle;
use crate::sync::{AtomicU32, Ordering};

/// Where the requests of a pool leave word for whoever watches its health.
#[derive(Debug)]
pub(crate) struct Alarms {
    /// So many failures in a row raise an alarm. `Relaxed`: a limit, and nothing with it.
    in_a_row: AtomicU32,
    gateway_in_a_row: AtomicU32,
    /// 1 while somebody watches. `Relaxed`: who begins looks at the members first, and who has just
    /// ended misses nothing.
    heard: AtomicU32,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    raised: Vec<Handle>,
    /// There are other members than before, or other orders.
    changed: bool,
    /// The watcher is to be woken as soon as no lock is held.
    due: bool,
    closed: bool,
    watcher: u64,
    waker: Option<Waker>,
}

/// What there is for the watcher to do.
#[derive(Debug, Default)]
pub(crate) struct Word {
    pub(crate) raised: Vec<Handle>,
    pub(crate) changed: bool,
    /// Another watcher has taken over, or the pool is gone.
    pub(crate) over: bool,
}

impl Alarms {
    pub(crate) fn new() -> Self {
        Self {
            in_a_row: AtomicU32::new(u32::MAX),
            gateway_in_a_row: AtomicU32::new(u32::MAX),
            heard: AtomicU32::new(0),
            inner: Mutex::default(),
        }
    }

    /// Begins to watch, in the place of whoever did before. Returns the number to ask with.
    pub(crate) fn watch(&self, in_a_row: Option<u32>, gateway_in_a_row: Option<u32>) -> u64 {
        let set = |threshold: &AtomicU32, value: Option<u32>| {
            threshold.store(value.unwrap_or(u32::MAX), Ordering::Relaxed);
        };
        set(&self.in_a_row, in_a_row);
        set(&self.gateway_in_a_row, gateway_in_a_row);
        self.heard.store(1, Ordering::Relaxed);
        let mut inner = self.inner();
        inner.watcher += 1;
        // It looks at the members by itself when it begins.
        inner.changed = false;
        inner.due = true;
        inner.watcher
    }

    /// Nobody watches any more.
    pub(crate) fn end(&self) {
        self.heard.store(0, Ordering::Relaxed);
    }

    /// Whether somebody watches.
    pub(super) fn are_heard(&self) -> bool {
        self.heard.load(Ordering::Relaxed) == 1
    }

    /// Returns what there is to do, or comes back when there is something.
    pub(crate) fn poll(&self, watcher: u64, cx: &mut Context<'_>) -> Poll<Word> {
        let waker = cx.waker().clone();
        let mut inner = self.inner();
        let over = inner.closed || inner.watcher != watcher;
        if over {
            // What there is to do is for whoever has taken over.
            return Poll::Ready(Word {
                over,
                ..Word::default()
            });
        }
        if inner.changed || !inner.raised.is_empty() {
            return Poll::Ready(Word {
                raised: std::mem::take(&mut inner.raised),
                changed: std::mem::take(&mut inner.changed),
                over,
            });
        }
        let old = inner.waker.replace(waker);
        drop(inner);
        drop(old);
        Poll::Pending
    }

    pub(crate) fn is_watched_by(&self, watcher: u64) -> bool {
        self.inner().watcher == watcher
    }

    /// The set of members is another. The watcher is woken by [`wake`](Self::wake).
    pub(crate) fn changed(&self) {
        let mut inner = self.inner();
        (inner.changed, inner.due) = (true, true);
    }

    /// Wakes the watcher, if there is reason to. Not under a lock: a waker is somebody else's code.
    pub(crate) fn wake(&self) {
        let mut inner = self.inner();
        if std::mem::take(&mut inner.due) {
            let waker = inner.waker.take();
            drop(inner);
            wake(waker);
        }
    }

    pub(crate) fn close(&self) {
        self.tell(|inner| inner.closed = true);
    }

    pub(super) fn in_a_row(&self) -> u32 {
        self.in_a_row.load(Ordering::Relaxed)
    }

    pub(super) fn gateway_in_a_row(&self) -> u32 {
        self.gateway_in_a_row.load(Ordering::Relaxed)
    }

    pub(super) fn raise(&self, handle: Handle) {
        self.tell(|inner| inner.raised.push(handle));
    }

    fn tell(&self, what: impl FnOnce(&mut Inner)) {
        let mut inner = self.inner();
        what(&mut inner);
        let waker = inner.waker.take();
        drop(inner);
        wake(waker);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}
