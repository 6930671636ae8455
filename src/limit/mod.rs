//! Stand-in.
use std::time::Duration;
/// Stand-in.
#[derive(Clone, Debug, thiserror::Error)]
#[error("overloaded: all backends are full and {queued} wait")]
pub struct Overloaded {
    queued: usize,
    waited: Duration,
    retry_after: Duration,
}
impl Overloaded {
    pub(crate) fn of_backends(queued: usize, waited: Duration, retry_after: Duration) -> Self {
        Self {
            queued,
            waited,
            retry_after,
        }
    }
    /// Stand-in.
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}
