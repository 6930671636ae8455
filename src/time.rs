//! The clock, and its instants as plain numbers that fit into an atomic word.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// The time: tokio's where there is tokio, so that tests can pause it.
#[inline]
pub(crate) fn now() -> Instant {
    #[cfg(feature = "tower")]
    return tokio::time::Instant::now().into_std();
    #[cfg(not(feature = "tower"))]
    return Instant::now();
}

static EPOCH: LazyLock<Instant> = LazyLock::new(|| {
    let now = Instant::now();
    now.checked_sub(Duration::from_secs(24 * 3600))
        .unwrap_or(now)
});

/// Nanoseconds since some fixed moment of this process. An instant before it counts as zero.
#[inline]
pub(crate) fn since_epoch(now: Instant) -> u64 {
    now.saturating_duration_since(*EPOCH).as_nanos() as u64
}

/// The instant that is so many nanoseconds after it.
pub(crate) fn from_epoch(nanoseconds: u64) -> Instant {
    later(*EPOCH, Duration::from_nanos(nanoseconds))
}

/// That moment, from which virtual time can be counted.
#[cfg(feature = "sim")]
pub(crate) fn epoch() -> Instant {
    *EPOCH
}

/// For ever: what is longer might be more than an `Instant` can hold.
pub(crate) const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// A time after another, by a century at most.
pub(crate) fn later(time: Instant, wait: Duration) -> Instant {
    time + wait.min(CENTURY)
}
