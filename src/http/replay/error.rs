use std::error::Error;

use crate::causes::causes;

/// A copy of a [`ReplayBody`](super::ReplayBody) cannot yield the whole body.
///
/// It is the error of that body, as a [`BoxError`](tower::BoxError); no other comes from this
/// crate. When it is the cause of a client's error, that is not held against the backend:
/// [`Classify::error`](crate::http::Classify::error).
///
/// # Examples
///
/// ```
/// use evenkeel::http::{CannotReplay, ReplayBody};
/// use http_body_util::{BodyExt, Full};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let body = Full::new("more than it keeps".as_bytes());
/// let mut first = ReplayBody::with_max_bytes(body, 4);
/// let second = first.clone();
/// first.frame().await;
/// drop(first);
///
/// let error = second.collect().await.unwrap_err();
/// assert_eq!(error.downcast_ref(), Some(&CannotReplay::NotKept));
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotReplay {
    /// Not all that was read of the body has been kept.
    #[error("the body has been sent, and was not kept")]
    NotKept,
    /// The body that was wrapped has failed while it was read.
    #[error("the body has failed before")]
    Failed,
}

impl CannotReplay {
    /// Whether an error, or a cause of it, is this.
    pub(crate) fn is_cause_of(error: &(dyn Error + 'static)) -> bool {
        causes(error).any(<dyn Error>::is::<Self>)
    }
}
