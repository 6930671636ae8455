use tracing::{debug, info, warn};

use crate::backend::Outcome;
use crate::balance::{Attempted, Comma};
use crate::retry::ObserveAttempts;

/// Tells `tracing` of the attempts at requests that are [retried](crate::retry).
///
/// | event | level | fields |
/// | --- | --- | --- |
/// | an attempt went well, or was cancelled | debug | `backend`, `outcome`, `took` in seconds, `attempt` from 0 on |
/// | an attempt failed, or was rejected | info | the same |
/// | a request failed with its last attempt | warn | `attempts`: all of them |
/// | a request was given up, or its deadline passed, after a failed attempt | warn | the same |
///
/// The target is that of this module, `evenkeel::observe`. An event is part of the span in which the
/// response future is polled.
///
/// # Examples
///
/// ```
/// use evenkeel::http::ByMethod;
/// use evenkeel::observe::TraceAttempts;
/// use evenkeel::retry::RetryLayer;
///
/// let layer = RetryLayer::new(ByMethod::new()).observer(TraceAttempts::new());
/// # let _ = layer;
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct TraceAttempts {
    _room: (),
}

const TARGET: &str = "evenkeel::observe";

impl TraceAttempts {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

impl ObserveAttempts for TraceAttempts {
    fn attempt(&self, number: usize, attempt: &Attempted) {
        let (backend, outcome) = (attempt.backend(), attempt.outcome());
        let took = attempt.took().unwrap_or_default().as_secs_f64();
        match outcome {
            Outcome::Failure(_) | Outcome::Rejected => {
                info!(target: TARGET, backend, %outcome, took, attempt = number, "attempt failed");
            }
            _ => {
                debug!(target: TARGET, backend, %outcome, took, attempt = number, "attempt ended");
            }
        }
    }

    fn request(&self, attempts: &[Attempted]) {
        let bad = |outcome| matches!(outcome, Outcome::Failure(_) | Outcome::Rejected);
        let (Some(first), Some(last)) = (attempts.first(), attempts.last()) else {
            return;
        };
        let all = Comma(attempts);
        if bad(last.outcome()) {
            warn!(target: TARGET, attempts = %all, "request failed");
        } else if bad(first.outcome()) && last.outcome() == Outcome::Cancelled {
            warn!(target: TARGET, attempts = %all, "request given up");
        }
    }
}
