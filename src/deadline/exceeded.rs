/// The request's deadline has passed before there was a response.
///
/// It says nothing of the backend that was busy with it, which may have got the request a moment
/// before: to find those that hang, set
/// [`Balance::attempt_timeout`](crate::Balance::attempt_timeout).
///
/// # Examples
///
/// ```
/// use evenkeel::deadline::DeadlineExceeded;
///
/// assert_eq!(DeadlineExceeded::new().to_string(), "the request's deadline has passed");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the request's deadline has passed")]
#[non_exhaustive]
pub struct DeadlineExceeded;

impl DeadlineExceeded {
    /// Says so.
    #[must_use]
    pub fn new() -> Self {
        Self
    }
}
