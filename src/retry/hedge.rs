use std::time::{Duration, Instant};

use super::percentile::Percentile;
use crate::InvalidSetting;
use crate::time::since_epoch;

/// When a request that is still pending gets a second attempt beside the first, on another backend.
///
/// The first good response wins, and the other attempt is dropped; an error never wins while the
/// other is pending. A hedge costs a token of the [budget](super::Budget), as a retry does, and is
/// an attempt as a retry is. Only requests that are [safe](super::Repeat::is_safe) are hedged, once
/// at most, if a copy can be sent [beside](super::Repeat::can_send_beside) the first.
///
/// # When to use
///
/// Against a long tail of latency whose cause lies with single backends. Where all are slow, hedges
/// only add load; the budget bounds that.
///
/// [`after`](Self::after) for few backends, and [`percentile`](Self::percentile) for so many that a
/// single slow one does not decide what is usual.
///
/// # References
///
/// J. Dean and L. A. Barroso, *The Tail at Scale*, Communications of the ACM 56 (2), 2013.
///
/// # Examples
///
/// ```
/// use evenkeel::retry::{Hedge, RetryLayer};
/// use std::time::Duration;
///
/// // One request in twenty gets a second attempt.
/// let layer = RetryLayer::new(|_request: &u64| true).hedge(Hedge::percentile(0.95)?);
/// // A fixed delay.
/// let layer = RetryLayer::new(|_request: &u64| true).hedge(Hedge::after(Duration::from_millis(50)));
/// # let _ = layer;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct Hedge {
    when: When,
    minimum: Duration,
}

#[derive(Debug)]
enum When {
    After(Duration),
    Percentile(Box<Percentile>),
}

impl Hedge {
    /// Hedges after a fixed time. It works for a pool of any size; a time somewhat above what most
    /// requests take is right.
    pub fn after(delay: Duration) -> Self {
        Self {
            when: When::After(delay),
            minimum: Duration::ZERO,
        }
    }

    /// Hedges what takes longer than this share of the recent requests: 0.95 for one in twenty. It
    /// is the time to the response head, of the last few seconds or some hundred requests, in
    /// constant memory, to about 6 %. Until there are enough of them to tell, nothing is hedged.
    ///
    /// An attempt that was cancelled counts with the time that it had been pending.
    ///
    /// It is of the attempts at all backends together. So it **does nothing where slow backends get
    /// more than 1 − `share` of the requests**: the percentile is their time then, and nobody takes
    /// longer. Under round robin one slow backend of three gets a third of the requests, and one of
    /// ten still a tenth; 0.95 works from 21 on. With fewer use [`after`](Self::after); or
    /// [`least_response_time`](crate::Balance::least_response_time) or
    /// [`least_requests`](crate::Balance::least_requests), which send a slow backend less, if there
    /// is so much traffic that it is still busy when the next request comes.
    ///
    /// # Errors
    ///
    /// When it is not from 0.5 to 0.9999.
    pub fn percentile(share: f64) -> Result<Self, InvalidSetting> {
        if !(0.5..=0.9999).contains(&share) {
            let expected = "a share from 0.5 to 0.9999, such as 0.95";
            return Err(InvalidSetting::new("hedge percentile", share, expected));
        }
        Ok(Self {
            when: When::Percentile(Box::new(Percentile::new(share))),
            minimum: Duration::from_millis(1),
        })
    }

    /// Sets the shortest delay. Default 1 ms for a percentile, as Finagle's.
    pub fn minimum(mut self, delay: Duration) -> Self {
        self.minimum = delay;
        self
    }

    pub(super) fn delay(&self) -> Option<Duration> {
        let delay = match &self.when {
            When::After(delay) => *delay,
            When::Percentile(latencies) => latencies.get()?,
        };
        Some(delay.max(self.minimum))
    }

    /// Whether latencies are to be recorded.
    pub(super) fn learns(&self) -> bool {
        matches!(self.when, When::Percentile(_))
    }

    pub(super) fn record(&self, took: Duration, now: Instant) {
        if let When::Percentile(latencies) = &self.when {
            let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
            latencies.record(took, since_epoch(now));
        }
    }
}
