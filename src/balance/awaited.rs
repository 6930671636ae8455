use std::time::Instant;

/// Whether a backend waits for the caller to send more of a request.
///
/// # Examples
///
/// ```
/// use evenkeel::balance::Awaited;
/// use evenkeel::http::ReplayBody;
/// use http_body_util::Empty;
///
/// assert_eq!(ReplayBody::new(Empty::<&[u8]>::new()).awaited(), Awaited::Never);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// It never had to.
    Never,
    /// It does now.
    Now,
    /// It had to, until then.
    Until(Instant),
}
