use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower::BoxError;

use super::Attempted;
use super::attempted::Comma;
use crate::backend::Failure;
use crate::connect::ConnectError;
use crate::deadline::DeadlineExceeded;
use crate::limit::Overloaded;
use crate::picker::{NAMED, NoBackend, and_more};

/// Why a [`Balance`](super::Balance) did not answer a request.
///
/// Each kind names the backends that it is about. What a backend itself said is the
/// [`source`](std::error::Error::source).
///
/// # Examples
///
/// ```
/// use evenkeel::{Backend, Balance, Pool};
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let broken = service_fn(|_request: ()| async { Err::<(), _>("out of paper") });
/// let balance = Balance::round_robin(Pool::from([Backend::new("printer-7", broken)]));
///
/// let error = balance.oneshot(()).await.unwrap_err();
/// assert_eq!(error.to_string(), "backend printer-7 failed");
/// assert_eq!(error.backend(), Some("printer-7"));
/// assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "out of paper");
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No backend was eligible for as long as the request could wait, or the picker wanted none.
    #[error("no backend to send the request to: {0}")]
    NoBackend(NoBackend),
    /// Backends were picked, but none of them took the request for as long as it could wait. It
    /// never left.
    #[error("no backend took the request{}: {}", Within(*waited), List(passed_over))]
    #[non_exhaustive]
    Unavailable {
        /// Which backends were picked and why they were passed over.
        passed_over: Vec<PassedOver>,
        /// How long the request waited.
        waited: Duration,
    },
    /// The picked backend's service returned an error, or no response in the time that an
    /// [attempt](crate::Balance::attempt_timeout) has.
    #[error("backend {} failed", attempt.backend())]
    #[non_exhaustive]
    Backend {
        /// Which backend it was, and how it went.
        attempt: Attempted,
        /// What kind of failure it was, by [`Track::error`](super::Track::error), or by
        /// [`Failure::of`] if that does not blame the backend.
        failure: Failure,
        /// Whether it is sure that the request never left, by
        /// [`Track::never_left`](super::Track::never_left).
        never_left: bool,
        /// What it said.
        source: BoxError,
    },
    /// All that could take the request are full, and it has waited for long enough, or too many
    /// wait already. It never left.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
    /// There was no response before the request's deadline.
    #[error(transparent)]
    DeadlineExceeded(#[from] DeadlineExceeded),
    /// Attempts were made, and none went well. For a single one only if it is not itself how the
    /// request ended: if its deadline has passed, say.
    #[error("{} failed ({})", Count(attempts.len()), Comma(attempts))]
    #[non_exhaustive]
    Retried {
        /// How the last one failed, or why there was none after it.
        #[source]
        last: Box<Error>,
        /// All of them, in the order in which they ended.
        attempts: Box<[Attempted]>,
    },
}

/// A backend that was picked but did not get the request.
#[derive(Debug)]
pub struct PassedOver {
    pub(super) backend: Arc<str>,
    pub(super) reason: Reason,
}

/// Why a backend was passed over.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// Its service was not ready.
    NotReady,
    /// Its service cannot be ready: `poll_ready` returned this.
    Failed(BoxError),
}

impl Error {
    /// Adds the attempts that were made, this one included if it was one.
    pub(crate) fn after(mut self, attempts: Vec<Attempted>) -> Self {
        let Some(same) = attempts.last() else {
            return self;
        };
        if let Self::Backend { attempt, .. } = &mut self {
            // Whoever kept them has measured them.
            *attempt = same.clone();
            if attempts.len() == 1 {
                return self;
            }
        }
        let last = match self {
            Self::Retried { last, .. } => last,
            error => Box::new(error),
        };
        Self::Retried {
            last,
            attempts: attempts.into(),
        }
    }

    /// This, or how the last of several attempts ended.
    pub(crate) fn last(&self) -> &Self {
        match self {
            Self::Retried { last, .. } => last.last(),
            error => error,
        }
    }

    /// Returns whether no backend could be picked at all.
    pub fn is_no_backend(&self) -> bool {
        matches!(self.last(), Self::NoBackend(_))
    }

    /// Returns whether the request's deadline has passed.
    pub fn is_deadline_exceeded(&self) -> bool {
        matches!(self.last(), Self::DeadlineExceeded(_))
    }

    /// Returns whether a limit was reached, of the backends or of the whole.
    pub fn is_overloaded(&self) -> bool {
        matches!(self.last(), Self::Overloaded(_))
    }

    /// Returns whether it is sure that no backend had the request.
    pub fn never_left(&self) -> bool {
        match self {
            Self::NoBackend(_) | Self::Unavailable { .. } | Self::Overloaded(_) => true,
            Self::Backend { never_left, .. } => *never_left,
            Self::DeadlineExceeded(_) => false,
            Self::Retried { last, attempts } => attempts.len() == 1 && last.never_left(),
        }
    }

    /// Returns the attempts that were made, of which none went well: none if the request never
    /// left.
    pub fn attempts(&self) -> &[Attempted] {
        match self {
            Self::Backend { attempt, .. } => std::slice::from_ref(attempt),
            Self::Retried { attempts, .. } => attempts,
            _ => &[],
        }
    }

    /// Returns the backend that was given the request and failed: the last one, if there were
    /// several.
    pub fn backend(&self) -> Option<&str> {
        self.attempts().last().map(Attempted::backend)
    }

    /// Returns the backends that were picked but never got the request, and why.
    pub fn passed_over(&self) -> &[PassedOver] {
        match self.last() {
            Self::Unavailable { passed_over, .. } => passed_over,
            _ => &[],
        }
    }

    /// Returns what kind of failure it was, if a backend had a part in it.
    ///
    /// For [`Unavailable`](Error::Unavailable) it is [`Connect`](Failure::Connect) if any of those
    /// passed over failed: the request never left.
    pub fn failure(&self) -> Option<Failure> {
        match self.last() {
            Self::NoBackend(_) | Self::Overloaded(_) => None,
            Self::DeadlineExceeded(_) => Some(Failure::Timeout),
            Self::Unavailable { passed_over, .. } => {
                let failed = |passed: &PassedOver| matches!(passed.reason, Reason::Failed(_));
                passed_over.iter().any(failed).then_some(Failure::Connect)
            }
            Self::Backend { failure, .. } => Some(*failure),
            Self::Retried { last, .. } => last.failure(),
        }
    }

    /// Returns when it makes sense to try again, where that is known: the soonest end of the
    /// passed over backends' back-off, or what an overload tells.
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Overloaded(overloaded) = self.last() {
            return Some(overloaded.retry_after());
        }
        let failed = self
            .passed_over()
            .iter()
            .filter_map(|passed| match &passed.reason {
                Reason::NotReady => None,
                Reason::Failed(error) => error.downcast_ref(),
            });
        failed.map(ConnectError::retry_after).min()
    }
}

impl PassedOver {
    /// Returns the backend's id.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// Returns why it was passed over.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }
}

struct List<'a>(&'a [PassedOver]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, passed) in self.0.iter().take(NAMED).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{} {}", passed.backend, passed.reason)?;
        }
        and_more(f, self.0.len())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotReady => f.write_str("is not ready"),
            Self::Failed(error) => {
                // A list has no single source, so here the causes are told.
                write!(f, "failed ({error}")?;
                let mut next = error.source();
                while let Some(cause) = next {
                    write!(f, ": {cause}")?;
                    next = cause.source();
                }
                f.write_str(")")
            }
        }
    }
}

struct Count(usize);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            1 => f.write_str("the only attempt"),
            attempts => write!(f, "all {attempts} attempts"),
        }
    }
}

struct Within(Duration);

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Duration::ZERO => Ok(()),
            waited => write!(f, " within {:.3} s", waited.as_secs_f64()),
        }
    }
}
