use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::Awaited;
use super::waits::NEVER;
use crate::deadline::DeadlineExceeded;
use crate::time::{later, now};

/// When an attempt is given up, if its response head has not come. The timer is armed when the
/// attempt is pending, so that most never have one.
pub(super) struct TimeLimit {
    /// In nanoseconds since the dispatch.
    after: u64,
    /// That of the whole request.
    deadline: Option<Instant>,
    armed: Option<Box<Armed>>,
}

struct Armed {
    sleep: Pin<Box<Sleep>>,
    cut: Cut,
}

/// Why an attempt is given up.
#[derive(Clone, Copy)]
pub(super) enum Cut {
    /// The backend had its time.
    TimedOut(TimedOut),
    /// The caller has no more.
    Deadline(DeadlineExceeded),
}

/// The backend gave no response head in the time that an attempt has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no response within {:.3} s", .0.as_secs_f64())]
pub(super) struct TimedOut(Duration);

impl TimeLimit {
    #[inline]
    pub(super) fn new(after: u64, deadline: Option<Instant>) -> Self {
        Self {
            after,
            deadline,
            armed: None,
        }
    }

    /// A backend's time begins anew when it does not wait for the caller any more.
    #[inline]
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        awaited: impl Fn() -> Awaited,
    ) -> Poll<Cut> {
        if self.after == NEVER && self.deadline.is_none() {
            return Poll::Pending;
        }
        loop {
            let cut = ready!(self.poll_armed(cx));
            if let Cut::Deadline(_) = cut {
                return Poll::Ready(cut);
            }
            let now = now();
            let since = match awaited() {
                Awaited::Never => return Poll::Ready(cut),
                Awaited::Now => now,
                Awaited::Until(then) => then,
            };
            if later(since, Duration::from_nanos(self.after)) <= now {
                return Poll::Ready(cut);
            }
            self.armed = Some(Box::new(self.arm(since)));
        }
    }

    #[cold]
    fn poll_armed(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        if self.armed.is_none() {
            // Without a runtime there is no timer.
            if tokio::runtime::Handle::try_current().is_err() {
                return Poll::Pending;
            }
            self.armed = Some(Box::new(self.arm(now())));
        }
        let armed = self.armed.as_mut().expect("set above");
        armed.sleep.as_mut().poll(cx).map(|()| armed.cut)
    }

    fn arm(&self, now: Instant) -> Armed {
        let after = Duration::from_nanos(self.after);
        let end = later(now, after);
        let (end, cut) = match self.deadline {
            Some(deadline) if deadline < end => (deadline, Cut::Deadline(DeadlineExceeded::new())),
            _ => (end, Cut::TimedOut(TimedOut(after))),
        };
        Armed {
            sleep: Box::pin(tokio::time::sleep_until(end.into())),
            cut,
        }
    }
}
