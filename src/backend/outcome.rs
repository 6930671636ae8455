use std::error::Error;
use std::{fmt, io};

use crate::causes::causes;

/// How a request ended, as far as its backend is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It was answered.
    Success,
    /// It was not answered, or not well.
    Failure(Failure),
    /// The backend refused it to protect itself, as with HTTP's 429. It may be healthy.
    Rejected,
    /// The caller lost interest before the end. The backend is not to blame.
    Cancelled,
}

/// What kind of failure it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Failure {
    /// No connection could be made, so the request never left.
    Connect,
    /// Time ran out.
    Timeout,
    /// The response says that what is behind it could not be reached, or is not available, as with
    /// HTTP's 502, 503 and 504, or gRPC's `UNAVAILABLE`.
    Gateway,
    /// The response says that it failed, as with any other of HTTP's 500 to 599.
    Response,
    /// The response began well and broke off.
    Body,
    /// Anything else: the service returned an error.
    Other,
}

impl Outcome {
    /// Returns whether this is a [`Failure`] of any kind.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failure(_))
    }

    /// Returns the failure, if it is one.
    pub fn failure(self) -> Option<Failure> {
        match self {
            Self::Failure(failure) => Some(failure),
            _ => None,
        }
    }

    /// Returns its name for machines, such as a label of a metric: `success`, `failure`, `rejected`
    /// or `cancelled`.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::backend::{Failure, Outcome};
    ///
    /// let outcome = Outcome::Failure(Failure::Connect);
    /// assert_eq!(outcome.name(), "failure");
    /// assert_eq!(outcome.failure().map(Failure::name), Some("connect"));
    /// ```
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure(_) => "failure",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Success => f.write_str("success"),
            Self::Failure(failure) => failure.fmt(f),
            Self::Rejected => f.write_str("rejected"),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}

impl Failure {
    /// Returns its name for machines: that of the variant in lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::Gateway => "gateway",
            Self::Response => "response",
            Self::Body => "body",
            Self::Other => "other",
        }
    }

    /// Whether the request did not get through to whoever should answer, or no answer back.
    pub(crate) fn is_gateway(self) -> bool {
        matches!(self, Self::Connect | Self::Timeout | Self::Gateway)
    }

    /// Sorts an error by what it, or the first cause of it that is known, says.
    ///
    /// Known are [`io::Error`] (refused, unreachable, address not available:
    /// [`Connect`](Failure::Connect); timed out: [`Timeout`](Failure::Timeout)), and, with the
    /// feature `tower`, the time-outs of tokio, of tower and of this crate, and its `ClientError`. The
    /// rest is [`Other`](Failure::Other).
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::backend::Failure;
    /// use std::io;
    ///
    /// let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    /// assert_eq!(Failure::of(&refused), Failure::Connect);
    /// ```
    pub fn of(error: &(dyn Error + 'static)) -> Self {
        causes(error).find_map(classify).unwrap_or(Self::Other)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::Timeout => "timed out",
            Self::Gateway => "the response reports that nobody is available",
            Self::Response => "the response reports a failure",
            Self::Body => "the response broke off",
            Self::Other => "the service failed",
        })
    }
}

fn classify(error: &(dyn Error + 'static)) -> Option<Failure> {
    #[cfg(feature = "tower")]
    if let Some(told) = error.downcast_ref::<crate::balance::ClientError>() {
        return told.failure();
    }
    #[cfg(feature = "tower")]
    if error.is::<tokio::time::error::Elapsed>()
        || error.is::<tower::timeout::error::Elapsed>()
        || error.is::<crate::deadline::DeadlineExceeded>()
    {
        return Some(Failure::Timeout);
    }
    let error = error.downcast_ref::<io::Error>()?;
    match error.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => Some(Failure::Connect),
        io::ErrorKind::TimedOut => Some(Failure::Timeout),
        // The cause inside may say more.
        _ => None,
    }
}
