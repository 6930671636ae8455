use std::fmt::Display;

/// A setting was given a value that makes no sense.
///
/// # Examples
///
/// ```
/// let error = evenkeel_eds::Eds::new("not a uri", "shop").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "invalid management server \"not a uri\": expected a URI such as http://10.0.0.1:18000",
/// );
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {given}: expected {expected}")]
pub struct InvalidSetting {
    what: &'static str,
    given: String,
    expected: &'static str,
}

impl InvalidSetting {
    pub(crate) fn new(what: &'static str, given: impl Display, expected: &'static str) -> Self {
        Self {
            what,
            given: given.to_string(),
            expected,
        }
    }
}
