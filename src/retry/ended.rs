use std::sync::Arc;
use std::time::Duration;

use crate::backend::{Failure, Live, Outcome};
use crate::balance::{Attempted, Error, Track};

/// How an attempt has ended, up to the head of its response.
pub(super) enum Ended<Res> {
    Well(Res, Arc<Live>),
    Badly(Failed<Res>),
}

/// A failure, and what may be done about it.
pub(super) struct Failed<Res> {
    /// What the caller gets, if nothing is.
    pub(super) result: Result<Res, Error>,
    /// None if no backend had the request.
    pub(super) attempt: Option<Attempted>,
    /// None if another attempt is of no use.
    pub(super) outcome: Option<Outcome>,
    /// It can be sent again even if it is not safe.
    pub(super) never_left: bool,
    pub(super) retry_after: Option<Duration>,
    /// Not only at the same backend.
    pub(super) anywhere: bool,
    pub(super) may_retry: bool,
}

impl<Res> Ended<Res> {
    #[inline]
    pub(super) fn of<In, K>(track: &K, result: Result<(Res, Arc<Live>), Error>) -> Self
    where
        K: Track<In, Response = Res>,
    {
        let (response, live) = match result {
            Ok(answered) => answered,
            Err(error) => return Self::Badly(Failed::from(error)),
        };
        let head = track.head(&response);
        let Some(outcome) = head.failed else {
            return Self::Well(response, live);
        };
        Self::Badly(Failed {
            result: Ok(response),
            attempt: Some(Attempted::new(&live, outcome, None)),
            outcome: Some(outcome),
            never_left: false,
            retry_after: head.retry_after,
            anywhere: head.anywhere,
            may_retry: head.may_retry,
        })
    }
}

impl<Res> From<Error> for Failed<Res> {
    #[cold]
    fn from(error: Error) -> Self {
        // Where no backend had it there is none, and another attempt would only wait again.
        let attempt = error.attempts().last().cloned();
        let outcome = attempt.as_ref().map(Attempted::outcome);
        let never_left = error.never_left();
        // One that was refused on its way is as good as one without a connection.
        let refused = never_left && outcome == Some(Outcome::Rejected);
        Self {
            attempt,
            outcome: if refused {
                Some(Outcome::Failure(Failure::Connect))
            } else {
                outcome
            },
            never_left,
            retry_after: None,
            anywhere: false,
            may_retry: true,
            result: Err(error),
        }
    }
}
