//! Pools that are fed by a source.

#[path = "../common/mod.rs"]
mod common;
mod follow;
mod model;
mod subset;
mod tower;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use evenkeel::picker::{Context, Update};
use evenkeel::{BackendSet, Picker, Pool};

fn ids<T: Clone>(pool: &Pool<T>) -> Vec<String> {
    pool.list()
        .iter()
        .map(|backend| backend.id().to_owned())
        .collect()
}

/// Counts the sets that it is prepared for.
#[derive(Default)]
struct Counting(Arc<AtomicUsize>);

impl Counting {
    fn new() -> (Self, impl Fn() -> usize) {
        let counting = Self::default();
        let count = Arc::clone(&counting.0);
        (counting, move || count.load(Ordering::Relaxed))
    }
}

impl Picker<()> for Counting {
    fn pick(&self, _: &dyn BackendSet, (): &(), _: &mut Context) -> Option<usize> {
        Some(0)
    }

    fn prepare(&self, _: &Update<'_>) -> Option<Arc<dyn Picker<()>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        None
    }
}
