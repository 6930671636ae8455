use std::error::Error;
use std::io::{self, ErrorKind};
use std::time::Duration;

use super::{Attempted, ClientError};
use crate::backend::{Completion, Failure, Outcome};
use crate::causes::causes;
use crate::connect::ConnectError;
use crate::deadline::DeadlineExceeded;
use crate::limit::Overloaded;

/// How long a request counts as in flight, and how it ended, given its response.
///
/// Like tower's `TrackCompletion`, except that the handle is told the outcome, and that dropping it
/// without one means that the request was cancelled.
///
/// # Examples
///
/// Responses that carry a permit, and are in flight until it is dropped:
///
/// ```
/// use evenkeel::backend::{Completion, Outcome};
/// use evenkeel::balance::Track;
///
/// struct Leased<R> {
///     response: R,
///     completion: Option<Completion>,
/// }
///
/// impl<R> Drop for Leased<R> {
///     fn drop(&mut self) {
///         if let Some(completion) = self.completion.take() {
///             completion.finish(Outcome::Success);
///         }
///     }
/// }
///
/// #[derive(Clone)]
/// struct OnDrop;
///
/// impl<R> Track<R> for OnDrop {
///     type Response = Leased<R>;
///
///     fn track(&self, response: R, mut completion: Completion) -> Leased<R> {
///         completion.head();
///         Leased { response, completion: Some(completion) }
///     }
/// }
/// ```
pub trait Track<Res> {
    /// The response as the caller gets it.
    type Response;

    /// Takes over a request whose response head has arrived.
    fn track(&self, response: Res, completion: Completion) -> Self::Response;

    /// Says what an error means that the backend's service has returned instead of a response.
    ///
    /// Default: a failure of the kind that [`Failure::of`] finds, unless it was refused here, on its
    /// way to the backend: with an [`Overloaded`](crate::limit::Overloaded) in it it is
    /// [`Rejected`](Outcome::Rejected), with a
    /// [`DeadlineExceeded`](crate::deadline::DeadlineExceeded)
    /// [`Cancelled`](Outcome::Cancelled), and with a [`ClientError`] what that says. One for which the backend is not
    /// to blame, as where the caller's own request broke, is [`Outcome::Cancelled`].
    fn error(&self, error: &(dyn Error + 'static)) -> Outcome {
        outcome_of(error)
    }

    /// Says whether the error shows that the request surely never left, so that it can be sent again
    /// even if it is not [safe](crate::retry::Repeat::is_safe). Default: if the connection was
    /// refused or there is no address for it, or this crate says that it was not sent.
    ///
    /// Other errors of a connection can come when the request is on its way. A client may know more:
    /// for hyper-util's, `is_connect()` of its error. Here, or as a [`ClientError`], it can be told.
    fn never_left(&self, error: &(dyn Error + 'static)) -> bool {
        never_left(error)
    }

    /// Says what the head of a response has shown, for a [retry](crate::retry). Default: that all is
    /// well.
    fn head(&self, response: &Self::Response) -> Head {
        let _ = response;
        Head::good()
    }

    /// Lets the response have the attempts that were made before the one that it belongs to, if
    /// there were any. Default: they are dropped.
    fn tried(&self, response: &mut Self::Response, attempts: Box<[Attempted]>) {
        let _ = (response, attempts);
    }
}

/// What the head of a response shows: whether the request has failed already, and what its backend
/// says of another attempt.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::{Failure, Outcome};
/// use evenkeel::balance::Head;
/// use std::time::Duration;
///
/// let busy = Head::failed(Outcome::Failure(Failure::Gateway)).retry_after(Duration::from_secs(1));
/// let broken_for_good = Head::failed(Outcome::Failure(Failure::Response)).no_retry();
/// # let _ = (busy, broken_for_good);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Head {
    pub(crate) failed: Option<Outcome>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) anywhere: bool,
    pub(crate) may_retry: bool,
}

impl Head {
    /// All is well so far.
    #[inline]
    pub fn good() -> Self {
        Self {
            failed: None,
            retry_after: None,
            anywhere: false,
            may_retry: true,
        }
    }

    /// It has failed, whatever is still to come. A success is as [`good`](Self::good).
    pub fn failed(outcome: Outcome) -> Self {
        Self {
            failed: Some(outcome).filter(|&outcome| outcome != Outcome::Success),
            ..Self::good()
        }
    }

    /// There is to be no other attempt at this backend before this time is over.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What [`retry_after`](Self::retry_after) says goes for all backends, as with gRPC's pushback.
    pub fn anywhere(mut self) -> Self {
        self.anywhere = true;
        self
    }

    /// There is to be no other attempt.
    pub fn no_retry(mut self) -> Self {
        self.may_retry = false;
        self
    }
}

/// What an error means if nobody knows better.
pub(crate) fn outcome_of(error: &(dyn Error + 'static)) -> Outcome {
    let known = causes(error).find_map(|cause| {
        let ours: Option<&super::Error> = cause.downcast_ref();
        if let Some(told) = cause.downcast_ref::<ClientError>() {
            Some(told.outcome())
        } else if cause.is::<Overloaded>() || ours.is_some_and(super::Error::is_overloaded) {
            Some(Outcome::Rejected)
        } else if cause.is::<DeadlineExceeded>()
            || ours.is_some_and(super::Error::is_deadline_exceeded)
        {
            Some(Outcome::Cancelled)
        } else {
            ours?.failure().map(Outcome::Failure)
        }
    });
    known.unwrap_or_else(|| Outcome::Failure(Failure::of(error)))
}

pub(crate) fn never_left(error: &(dyn Error + 'static)) -> bool {
    // The first that knows has the last word.
    let told = causes(error).find_map(|cause| {
        if let Some(told) = cause.downcast_ref::<ClientError>() {
            return Some(told.surely_never_left());
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            let kind = error.kind();
            let no_connection = matches!(
                kind,
                ErrorKind::ConnectionRefused | ErrorKind::AddrNotAvailable
            );
            return no_connection.then_some(true);
        }
        let ours: Option<&super::Error> = cause.downcast_ref();
        let never_left = cause.is::<ConnectError>()
            || cause.is::<Overloaded>()
            || ours.is_some_and(super::Error::never_left);
        never_left.then_some(true)
    });
    told.unwrap_or(false)
}

/// In flight until there is a response, which is a success.
///
/// For responses without a body to wait for. For HTTP use
/// [`OnBodyEnd`](crate::http::OnBodyEnd), which the HTTP ways in do by themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct OnResponse;

impl<Res> Track<Res> for OnResponse {
    type Response = Res;

    #[inline]
    fn track(&self, response: Res, completion: Completion) -> Res {
        completion.finish(Outcome::Success);
        response
    }
}
