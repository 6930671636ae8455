use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Live;

/// Ready once a backend has no request in flight, from [`Pool::drained`](crate::Pool::drained).
///
/// It stays with this membership of the backend: after a removal it is ready when the last request
/// that was sent before has ended. Nothing polls in the meantime; the last request wakes it.
///
/// # Cancel safety
///
/// It can be dropped at any time. The backend stays drained.
///
/// # Examples
///
/// See [`Pool::drained`](crate::Pool::drained).
#[must_use = "futures do nothing unless polled"]
pub struct Drained {
    live: Arc<Live>,
    /// Its place among those who wait for the same.
    ticket: u64,
}

/// Who is to be woken when the last request has ended.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Mutex<Vec<(u64, Waker)>>);

impl Drained {
    pub(crate) fn new(live: Arc<Live>) -> Self {
        static TICKETS: AtomicU64 = AtomicU64::new(0);
        // `Relaxed`: only that no number comes twice matters.
        let ticket = TICKETS.fetch_add(1, Ordering::Relaxed);
        Self { live, ticket }
    }
}

#[cfg(feature = "tower")]
impl Drained {
    /// Waits for so long at most; returns whether the last request had ended by then.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::{Backend, Pool};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// let pool = Pool::from([Backend::new("a", ())]);
    /// let (_, running) = pool.start(|_set| Some(0)).expect("a is eligible");
    /// let drained = pool.drained("a").expect("a member");
    /// assert!(!drained.within(Duration::from_secs(30)).await);
    /// # drop(running);
    /// # }
    /// ```
    pub async fn within(self, time: std::time::Duration) -> bool {
        tokio::time::timeout(time, self).await.is_ok()
    }
}

impl Future for Drained {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Registered first: a request that ends in between finds it.
        if self.live.wait_until_idle(self.ticket, cx.waker()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        self.live.stop_waiting(self.ticket);
    }
}

impl Waiters {
    pub(super) fn insert(&self, ticket: u64, waker: &Waker) {
        let mut waiters = self.lock();
        match waiters.iter_mut().find(|(other, _)| *other == ticket) {
            Some((_, known)) => known.clone_from(waker),
            None => waiters.push((ticket, waker.clone())),
        }
    }

    pub(super) fn remove(&self, ticket: u64) {
        self.lock().retain(|(other, _)| *other != ticket);
    }

    pub(super) fn wake(&self) {
        // Not under the lock: a waker is somebody else's code.
        let waiters = std::mem::take(&mut *self.lock());
        for (_, waker) in waiters {
            waker.wake();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, Waker)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drained")
            .field("backend", &self.live.id())
            .field("in_flight", &self.live.in_flight())
            .finish_non_exhaustive()
    }
}
