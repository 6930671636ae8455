//! Instants as plain numbers, so that they fit into an atomic word.

use std::sync::LazyLock;
use std::time::Instant;

/// Nanoseconds since some fixed moment of this process. An instant before it counts as zero.
pub(crate) fn since_epoch(now: Instant) -> u64 {
    static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);
    now.saturating_duration_since(*EPOCH).as_nanos() as u64
}
