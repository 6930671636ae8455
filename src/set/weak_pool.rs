use std::fmt;
use std::sync::Weak;

use super::pool::{Pool, Shared};

/// A [`Pool`] that does not keep it alive, from [`Pool::downgrade`]: for what feeds a pool from
/// outside and should end with it.
///
/// # Examples
///
/// ```
/// use evenkeel::{Backend, Pool};
///
/// let pool = Pool::from([Backend::new("a", ())]);
/// let weak = pool.downgrade();
/// assert!(weak.upgrade().is_some());
/// drop(pool);
/// assert!(weak.upgrade().is_none());
/// ```
pub struct WeakPool<T> {
    pub(super) shared: Weak<Shared<T>>,
}

impl<T> WeakPool<T> {
    /// Returns the pool, if anyone still has it.
    pub fn upgrade(&self) -> Option<Pool<T>> {
        self.shared.upgrade().map(|shared| Pool { shared })
    }
}

impl<T> Clone for WeakPool<T> {
    fn clone(&self) -> Self {
        Self {
            shared: Weak::clone(&self.shared),
        }
    }
}

impl<T> fmt::Debug for WeakPool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeakPool").finish_non_exhaustive()
    }
}
