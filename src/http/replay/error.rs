use std::error::Error;

use tower::BoxError;

use crate::causes::causes;

/// A copy of a [`ReplayBody`](super::ReplayBody) cannot yield the whole body.
///
/// It is the error of that body, as a [`BoxError`]. When it is the cause of a client's error, that is
/// not held against the backend: [`Classify::error`](crate::http::Classify::error).
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

/// The body inside a [`ReplayBody`](super::ReplayBody) has failed, as when a client goes away that
/// is still uploading.
///
/// Its source is the body's own error. A client of a backend hands it on as an error of its own;
/// this tells it from the backend's, against which it is not held:
/// [`Classify::error`](crate::http::Classify::error). That is so over HTTP/1. Over HTTP/2, hyper's
/// client resets the stream and hands on an error of that, in which this is not to be found.
///
/// # Examples
///
/// ```
/// use std::error::Error;
/// use std::io;
///
/// use bytes::Bytes;
/// use evenkeel::http::{ReplayBody, RequestBodyError};
/// use futures_util::stream;
/// use http_body::Frame;
/// use http_body_util::{BodyExt, StreamBody};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let gone = io::Error::from(io::ErrorKind::ConnectionReset);
/// let upload = StreamBody::new(stream::iter([Err::<Frame<Bytes>, _>(gone)]));
///
/// let error = ReplayBody::new(upload).collect().await.unwrap_err();
/// let error: &RequestBodyError = error.downcast_ref().expect("the upload broke off");
/// assert!(error.source().is_some_and(|cause| cause.is::<io::Error>()));
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the request's own body broke off")]
pub struct RequestBodyError(#[source] BoxError);

impl RequestBodyError {
    pub(super) fn new(error: impl Into<BoxError>) -> Self {
        Self(error.into())
    }
}

/// Whether an error, or a cause of it, is that of a request's body, whoever hands it on.
pub(crate) fn is_of_request_body(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.is::<CannotReplay>() || cause.is::<RequestBodyError>())
}
