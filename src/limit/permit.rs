use std::fmt;
use std::sync::Arc;

use super::count::Count;
use crate::backend::Line;

/// What all services of a limit share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) count: Count,
    pub(super) line: Arc<Line>,
}

/// Room for one request, given back when it is dropped.
///
/// Handed to [`Hold::hold`](super::Hold::hold) with each response.
#[must_use = "it is given back when it is dropped"]
pub struct Permit {
    shared: Arc<Shared>,
}

impl Shared {
    /// For those who do not wait: nothing, while others do.
    #[inline]
    pub(super) fn enter_at_once(self: &Arc<Self>) -> Option<Permit> {
        if self.line.is_empty() {
            self.enter()
        } else {
            None
        }
    }

    #[inline]
    pub(super) fn enter(self: &Arc<Self>) -> Option<Permit> {
        self.count.enter().then(|| Permit {
            shared: Arc::clone(self),
        })
    }

    /// Calls those for whom there is room; to be done after each step, see [`Line`].
    #[inline]
    pub(super) fn call(&self) {
        self.line.call(|| self.count.free());
    }
}

impl Drop for Permit {
    #[inline]
    fn drop(&mut self) {
        let Shared { count, line } = &*self.shared;
        count.leave();
        line.call_after_step(|| count.free());
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}
