use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use super::ExplainedPick;

/// Takes down why a request goes where it does: whoever wants to know puts a clone of it into the
/// request, and has its picker [`Explained`](super::Explained).
///
/// Clones are the same, so copies of a request that are sent again write to the same log. It keeps
/// the first [`MAX_PICKS`](Self::MAX_PICKS).
///
/// # Examples
///
/// See [`Explained`](super::Explained).
#[derive(Clone, Default)]
#[must_use]
pub struct PickLog(Arc<Mutex<Vec<ExplainedPick>>>);

impl PickLog {
    /// How many picks are kept.
    pub const MAX_PICKS: usize = 32;

    /// An empty log.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the picks in their order: one for each attempt, and one more whenever the backend
    /// that was picked did not take the request.
    pub fn picks(&self) -> Vec<ExplainedPick> {
        let picks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        picks.clone()
    }

    pub(super) fn push(&self, pick: ExplainedPick) {
        let mut picks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if picks.len() < Self::MAX_PICKS {
            picks.push(pick);
        }
    }
}

impl fmt::Display for PickLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let picks = self.picks();
        if picks.is_empty() {
            return f.write_str("nothing was picked, or not by a picker that is explained");
        }
        for (i, pick) in picks.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; then " };
            write!(f, "{separator}{pick}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for PickLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PickLog").field(&self.picks()).finish()
    }
}
