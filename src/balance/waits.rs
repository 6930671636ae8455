use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// How long a request waits for a backend, and then for its response, in nanoseconds: half the size
/// of `Duration`s, which counts where a balance is cloned for each request.
#[derive(Clone, Copy)]
pub(crate) struct Waits {
    max: u64,
    affinity: u64,
    attempt: u64,
}

impl Waits {
    pub(crate) fn max(self) -> Duration {
        Duration::from_nanos(self.max)
    }

    pub(crate) fn affinity(self) -> Duration {
        Duration::from_nanos(self.affinity)
    }

    /// [`NEVER`] if there is no end.
    pub(crate) fn attempt(self) -> u64 {
        self.attempt
    }

    pub(crate) fn set_attempt(&mut self, attempt: Duration) {
        // The longest is no limit, but it was set.
        self.attempt = nanos(attempt).min(NEVER - 1);
    }

    pub(crate) fn set_max(&mut self, max: Duration) {
        self.max = nanos(max);
    }

    pub(crate) fn set_affinity(&mut self, affinity: Duration) {
        self.affinity = nanos(affinity);
    }
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            max: nanos(Duration::from_secs(1)),
            affinity: 0,
            attempt: NEVER,
        }
    }
}

impl fmt::Debug for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waits")
            .field("max", &self.max())
            .field("affinity", &self.affinity())
            .field("attempt", &Duration::from_nanos(self.attempt))
            .finish()
    }
}

pub(crate) const NEVER: u64 = u64::MAX;

/// 584 years at most.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A time that starts when it is first asked for.
pub(crate) struct Timer {
    duration: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    pub(crate) fn new(duration: Duration) -> Self {
        Self {
            duration,
            sleep: None,
        }
    }

    #[cfg(feature = "http")]
    pub(crate) fn duration(&self) -> Duration {
        self.duration
    }

    pub(crate) fn is_up(&mut self, cx: &mut Context<'_>) -> bool {
        if self.duration.is_zero() {
            return true;
        }
        if self.sleep.is_none() {
            // Without a runtime there is no timer, so there can be no wait with a bound.
            if tokio::runtime::Handle::try_current().is_err() {
                return true;
            }
            self.sleep = Some(Box::pin(tokio::time::sleep(self.duration)));
        }
        let sleep = self.sleep.as_mut().expect("set above");
        sleep.as_mut().poll(cx).is_ready()
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.sleep.as_ref().map_or(Duration::ZERO, |sleep| {
            let left = sleep.deadline().saturating_duration_since(Instant::now());
            self.duration.saturating_sub(left)
        })
    }
}
