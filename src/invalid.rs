use std::fmt::Display;

/// A setting was given a value that makes no sense.
///
/// One type for all that is refused when it is built: the message names what it was, the value, and
/// what was expected.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::LeastRequests;
///
/// let error = LeastRequests::with_choices(1).unwrap_err();
/// assert_eq!(error.to_string(), "invalid number of choices 1: expected 2 to 32");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {given}: expected {expected}")]
pub struct InvalidSetting {
    what: &'static str,
    given: String,
    expected: &'static str,
}

impl InvalidSetting {
    /// Says what was refused, the value, and what was expected: for settings of your own pickers and
    /// sources.
    pub fn new(what: &'static str, given: impl Display, expected: &'static str) -> Self {
        Self {
            what,
            given: given.to_string(),
            expected,
        }
    }
}
