use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::snapshot::Snapshot;

/// Who has to know of each published snapshot before the change's call returns.
pub(crate) trait Subscriber<T>: Send + Sync {
    /// Called without any lock of the pool, by whoever made the change, so perhaps out of order.
    fn publish(&self, snapshot: &Arc<Snapshot<T>>);
}

/// All subscribers of a pool, which does not keep them alive.
pub(super) struct Subscribers<T>(Mutex<Vec<Weak<dyn Subscriber<T>>>>);

impl<T> Subscribers<T> {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    pub(super) fn add(&self, subscriber: &Arc<dyn Subscriber<T>>) {
        let mut subscribers = self.lock();
        if subscribers.len() == subscribers.capacity() {
            subscribers.retain(|subscriber| subscriber.strong_count() > 0);
        }
        subscribers.push(Arc::downgrade(subscriber));
    }

    /// Tells each of them. A picker's `prepare` is somebody else's code: if it panics, so does
    /// this, but first all the others get what they are to have.
    pub(super) fn tell(&self, snapshot: &Arc<Snapshot<T>>) {
        let alive: Vec<_> = {
            let mut subscribers = self.lock();
            subscribers.retain(|subscriber| subscriber.strong_count() > 0);
            subscribers.iter().filter_map(Weak::upgrade).collect()
        };
        let mut panic = None;
        for subscriber in alive {
            let publish = AssertUnwindSafe(|| subscriber.publish(snapshot));
            if let Err(payload) = catch_unwind(publish) {
                panic = Some(payload);
            }
        }
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<dyn Subscriber<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
