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
            may_retry: head.may_retry,
        })
    }
}

impl<Res> From<Error> for Failed<Res> {
    #[cold]
    fn from(error: Error) -> Self {
        let failure = error.failure().filter(|_| !error.is_deadline_exceeded());
        Self {
            attempt: error.attempts().last().cloned(),
            outcome: failure.map(Outcome::Failure),
            never_left: failure == Some(Failure::Connect),
            retry_after: None,
            may_retry: true,
            result: Err(error),
        }
    }
}
