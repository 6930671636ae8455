//! Pools of any size.

use std::sync::Arc;

use evenkeel::{Backend, BackendSet, Pool};

/// Whether backends differ in weight.
#[derive(Clone, Copy)]
pub(crate) enum Weights {
    Equal,
    /// 1, 2, 3, 4 and again.
    Different,
}

impl Weights {
    pub(crate) fn of(self, backend: usize) -> u32 {
        match self {
            Self::Equal => 1,
            Self::Different => backend as u32 % 4 + 1,
        }
    }
}

/// The id of the n-th backend of a pool.
pub(crate) fn id(backend: usize) -> Arc<str> {
    format!("10.0.{}.{}:8080", backend / 256, backend % 256).into()
}

pub(crate) fn pool<T: Clone>(size: usize, weights: Weights, value: &T) -> Pool<T> {
    let backend = |n| Backend::new(id(n), value.clone()).weight(weights.of(n));
    (0..size).map(backend).collect()
}

/// Looks at the pool's own set.
pub(crate) fn within<T: Clone>(pool: &Pool<T>, look: impl FnOnce(&dyn BackendSet)) {
    let started = pool.start(|set| {
        look(set);
        None
    });
    debug_assert!(started.is_none());
}
