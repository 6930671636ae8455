use std::fmt;
use std::time::Duration;

/// Too many requests were in flight, and the queue was full or this one waited too long. It never
/// left.
///
/// It comes from a [`Limit`](super::Limit) of all requests together, or from a balance whose
/// backends are all [full](crate::set::Limits).
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
    "overloaded: {} and {queued} in the queue{}", InFlight(*max_in_flight), Waited(*waited)
)]
pub struct Overloaded {
    max_in_flight: Option<usize>,
    queued: usize,
    waited: Duration,
    retry_after: Duration,
}

impl Overloaded {
    pub(super) fn new(max: u32, queued: u32, waited: Duration, retry_after: Duration) -> Self {
        Self {
            max_in_flight: Some(max as usize),
            queued: queued as usize,
            waited,
            retry_after,
        }
    }

    /// All backends that are eligible are full.
    pub(crate) fn of_backends(queued: usize, waited: Duration, retry_after: Duration) -> Self {
        Self {
            max_in_flight: None,
            queued,
            waited,
            retry_after,
        }
    }

    /// Returns how many requests may be in flight together. `None` if it is single backends that
    /// are full.
    pub fn max_in_flight(&self) -> Option<usize> {
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

    /// Returns when it makes sense to try again, as it was set for the [layer](super::LimitLayer::retry_after) or the
    /// [pool](crate::set::Limits::retry_after).
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

struct InFlight(Option<usize>);

impl fmt::Display for InFlight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("all backends are full"),
            Some(1) => f.write_str("1 request in flight"),
            Some(max) => write!(f, "{max} requests in flight"),
        }
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
