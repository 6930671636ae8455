use crate::set::{PoolStatus, WeakPool};

/// A pool of whatever, which may be gone.
pub(super) trait Source: Send + Sync {
    fn status(&self) -> Option<PoolStatus>;
}

impl<T: Clone + Send + Sync> Source for WeakPool<T> {
    fn status(&self) -> Option<PoolStatus> {
        Some(self.upgrade()?.status())
    }
}
