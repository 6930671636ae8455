use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tower::BoxError;

use crate::backend::Failure;
use crate::connect::ConnectError;
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
    /// The picked backend's service returned an error.
    #[error("backend {backend} failed")]
    #[non_exhaustive]
    Backend {
        /// Its id.
        backend: Arc<str>,
        /// What kind of failure it was, by [`Track::error`](super::Track::error), or by
        /// [`Failure::of`] if that does not blame the backend.
        failure: Failure,
        /// What it said.
        source: BoxError,
    },
    /// A [limit](crate::limit) around the balance refused the request. It never left.
    #[error(transparent)]
    Overloaded(#[from] Overloaded),
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
    /// Returns whether no backend could be picked at all.
    pub fn is_no_backend(&self) -> bool {
        matches!(self, Self::NoBackend(_))
    }

    /// Returns whether a [limit](crate::limit) refused the request.
    pub fn is_overloaded(&self) -> bool {
        matches!(self, Self::Overloaded(_))
    }

    /// Returns the backend that was given the request and failed.
    pub fn backend(&self) -> Option<&str> {
        match self {
            Self::Backend { backend, .. } => Some(backend),
            _ => None,
        }
    }

    /// Returns the backends that were picked but never got the request, and why.
    pub fn passed_over(&self) -> &[PassedOver] {
        match self {
            Self::Unavailable { passed_over, .. } => passed_over,
            _ => &[],
        }
    }

    /// Returns what kind of failure it was, if a backend had a part in it.
    ///
    /// For [`Unavailable`](Error::Unavailable) it is [`Connect`](Failure::Connect) if any of those
    /// passed over failed: the request never left.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::NoBackend(_) | Self::Overloaded(_) => None,
            Self::Unavailable { passed_over, .. } => {
                let failed = |passed: &PassedOver| matches!(passed.reason, Reason::Failed(_));
                passed_over.iter().any(failed).then_some(Failure::Connect)
            }
            Self::Backend { failure, .. } => Some(*failure),
        }
    }

    /// Returns when it makes sense to try again, where that is known: the soonest end of the
    /// passed over backends' back-off, or what the limit
    /// [was told](crate::limit::LimitLayer::retry_after).
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Overloaded(overloaded) = self {
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

struct Within(Duration);

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Duration::ZERO => Ok(()),
            waited => write!(f, " within {:.3} s", waited.as_secs_f64()),
        }
    }
}
