use std::error::Error;

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
