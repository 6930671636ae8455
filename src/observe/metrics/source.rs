use super::series::Reading;
use crate::backend::{BackendInfo, State, Value};
use crate::set::WeakPool;

/// A pool, whatever its backends are, that is not kept alive.
pub(super) trait Source: Send + Sync {
    /// How its members are, and how it is; `None` once it is gone.
    fn read(&self) -> Option<(Vec<BackendInfo>, Reading)>;
}

impl<T: Value> Source for WeakPool<T> {
    fn read(&self) -> Option<(Vec<BackendInfo>, Reading)> {
        let pool = self.upgrade()?;
        let status = pool.status();
        let members = status.members();
        let healthy = match members {
            0 => 0.0,
            _ => status.healthy() as f64 / members as f64,
        };
        let reading = Reading {
            counts: State::ALL.map(|state| status.count_of(state)),
            healthy,
            queued: pool.queued(),
            budget: None,
        };
        Some((pool.list(), reading))
    }
}
