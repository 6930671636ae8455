use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Handle, Live, Outcome};
use crate::picker::{NAMED, and_more};

/// One attempt at a request that is over: which backend had it, how it ended, how long it took.
///
/// An error lists those that led to it ([`Error::attempts`](super::Error::attempts)), a tracked
/// body those before the one that it belongs to.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::{Failure, Outcome};
/// use evenkeel::{Backend, Balance};
/// use tower::{ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let broken = service_fn(|_request: ()| async { Err::<(), _>("out of paper") });
/// let error = Balance::round_robin([Backend::new("printer-7", broken)]).oneshot(()).await;
///
/// let error = error.unwrap_err();
/// let [attempt] = error.attempts() else { panic!("there was one") };
/// assert_eq!(attempt.backend(), "printer-7");
/// assert_eq!(attempt.outcome(), Outcome::Failure(Failure::Other));
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Attempted {
    backend: Arc<str>,
    handle: Handle,
    outcome: Outcome,
    took: Option<Duration>,
}

impl Attempted {
    pub(crate) fn new(live: &Live, outcome: Outcome, took: Option<Duration>) -> Self {
        Self {
            backend: Arc::clone(live.shared_id()),
            handle: live.handle(),
            outcome,
            took,
        }
    }

    pub(crate) fn set_took(&mut self, took: Duration) {
        self.took = Some(took);
    }

    /// Returns the backend's id.
    pub fn backend(&self) -> &str {
        &self.backend
    }

    /// Returns the backend's handle.
    pub fn handle(&self) -> Handle {
        self.handle
    }

    /// Returns how it ended, as far as the backend is concerned. One that was given up since another
    /// was faster was [cancelled](Outcome::Cancelled).
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Returns how long it took until its outcome was known, if that was measured: a
    /// [retry](crate::retry) measures it.
    pub fn took(&self) -> Option<Duration> {
        self.took
    }
}

/// Attempts in their order, the first few of them by name.
pub(crate) struct Comma<'a>(pub(crate) &'a [Attempted]);

impl fmt::Display for Comma<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, attempt) in self.0.iter().take(NAMED).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{attempt}")?;
        }
        and_more(f, self.0.len())
    }
}

impl fmt::Display for Attempted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.backend, self.outcome)?;
        match self.took {
            Some(took) => write!(f, " after {:.3} s", took.as_secs_f64()),
            None => Ok(()),
        }
    }
}
