//! A pick that shows what pickers see.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use evenkeel::BackendSet;
use evenkeel::backend::{Handle, Observation};
use evenkeel::picker::{Context, Needs, Picker, Selector, Update};

/// Picks the backend at the slot that a request names, as long as it can be picked. Whatever there
/// is to prepare for another picker is prepared at each change.
pub(crate) struct Look(pub(crate) Arc<dyn Picker<u64>>);

impl Picker<u64> for Look {
    fn pick(&self, set: &dyn BackendSet, &slot: &u64, _cx: &mut Context) -> Option<usize> {
        set.rank_of(slot as usize)
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<u64>>> {
        let prepared = self.0.prepare(update);
        prepared.map(|prepared| Arc::new(Self(prepared)) as Arc<dyn Picker<u64>>)
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        self.0.observe(backend, observation);
    }

    fn needs(&self) -> Needs {
        self.0.needs()
    }
}

/// Looks until no pick finds the backend any more; returns how long that took, from `cause` on.
pub(crate) fn until_gone<T>(
    selector: &Selector<T, u64>,
    backend: Handle,
    cause: Instant,
) -> Duration
where
    T: Clone + Send + Sync + 'static,
{
    let slot = backend.slot() as u64;
    let is_there = || selector.select(&slot).is_ok();
    until(cause, || !is_there())
}

pub(crate) fn until(cause: Instant, mut done: impl FnMut() -> bool) -> Duration {
    const TOO_LONG: Duration = Duration::from_secs(20);
    while !done() {
        assert!(cause.elapsed() < TOO_LONG, "nobody has noticed");
        // The others may have this core only.
        thread::yield_now();
    }
    cause.elapsed()
}
