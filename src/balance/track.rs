use std::error::Error;
use std::time::Duration;

use super::Attempted;
use crate::backend::{Completion, Failure, Outcome};

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
    /// Default: a failure of the kind that [`Failure::of`] finds. One for which the backend is not
    /// to blame, as where the caller's own request broke, is [`Outcome::Cancelled`].
    fn error(&self, error: &(dyn Error + 'static)) -> Outcome {
        Outcome::Failure(Failure::of(error))
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
    pub(crate) may_retry: bool,
}

impl Head {
    /// All is well so far.
    #[inline]
    pub fn good() -> Self {
        Self {
            failed: None,
            retry_after: None,
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

    /// There is to be no other attempt before this time is over.
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// There is to be no other attempt.
    pub fn no_retry(mut self) -> Self {
        self.may_retry = false;
        self
    }
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
    fn track(&self, response: Res, mut completion: Completion) -> Res {
        completion.head();
        completion.finish(Outcome::Success);
        response
    }
}
