use std::fmt;
use std::time::Duration;

/// A request was refused by a [`Limit`](super::Limit): too many were in flight, and the queue was
/// full or it waited too long. It never left.
///
/// [`HttpResponses`](crate::http::HttpResponses) makes it a 503 with `Retry-After`.
///
/// # Examples
///
/// ```
/// use evenkeel::Error;
/// use evenkeel::limit::Overloaded;
///
/// /// An error of your own, for services that are limited.
/// #[derive(Debug)]
/// enum MyError {
///     Busy(Overloaded),
///     Other(Error),
/// }
///
/// impl From<Overloaded> for MyError {
///     fn from(overloaded: Overloaded) -> Self {
///         Self::Busy(overloaded)
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "overloaded: {max_in_flight} request{} in flight and {queued} in the queue{}",
    if *max_in_flight == 1 { "" } else { "s" },
    Waited(*waited)
)]
pub struct Overloaded {
    max_in_flight: usize,
    queued: usize,
    waited: Duration,
    retry_after: Duration,
}

impl Overloaded {
    pub(super) fn new(max: u32, queued: u32, waited: Duration, retry_after: Duration) -> Self {
        Self {
            max_in_flight: max as usize,
            queued: queued as usize,
            waited,
            retry_after,
        }
    }

    /// Returns how many requests may be in flight.
    pub fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    /// Returns how many others were in the queue.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Returns how long the request waited; zero if there was no place in the queue.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    /// Returns when it makes sense to try again, as it was
    /// [set](super::LimitLayer::retry_after).
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

struct Waited(Duration);

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Duration::ZERO => Ok(()),
            waited => write!(f, ", waited {:.3} s", waited.as_secs_f64()),
        }
    }
}
