use std::time::{Duration, Instant};

use crate::time::epoch;

/// A moment of virtual time, in nanoseconds since the beginning of a run, as pickers see it.
pub(super) fn instant(now: u64) -> Instant {
    /// So that ages and the like never come to before the epoch.
    const OFFSET: Duration = Duration::from_secs(3600);
    epoch() + OFFSET + Duration::from_nanos(now)
}
