use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::runtime::watcher::Error;
use tokio::time::Instant;

/// A watch that has lasted for so long was a good one.
const GOOD: Duration = Duration::from_secs(10);

/// The watches that have ended soon, one after the other, by whatever stream: the first is forgiven, and
/// the others are errors, after which `Follow` waits longer and longer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Breaks(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    count: u32,
    /// When the watch that is under way was begun.
    begun: Option<Instant>,
}

impl Breaks {
    /// A new watch begins.
    pub(crate) fn begin(&self) {
        self.state().begun = Some(Instant::now());
    }

    /// Takes note of an error. Returns whether it is nothing to speak of.
    ///
    /// That a watch breaks off, or falls out of what the API server remembers, is how watches end now
    /// and then. The watcher goes on by itself, from where it was or with a new list.
    pub(crate) fn forgive(&self, error: &Error) -> bool {
        let ordinary = match error {
            // `Follow` sees to it, as nothing has come of it.
            Error::InitialListFailed(_) => return false,
            Error::WatchFailed(_) => true,
            Error::WatchError(status) => status.code == 410,
            _ => false,
        };
        let now = Instant::now();
        let mut state = self.state();
        let good = |begun: Instant| now.duration_since(begun) >= GOOD;
        if state.begun.is_some_and(good) {
            state.count = 0;
        }
        state.count = state.count.saturating_add(1);
        state.begun = Some(now);
        ordinary && state.count == 1
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
