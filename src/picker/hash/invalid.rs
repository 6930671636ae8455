/// A setting of a hash picker is out of its range.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::hash::Maglev;
///
/// let error = Maglev::with_size(65_536).unwrap_err();
/// assert_eq!(error.to_string(), "invalid table size 65536: expected a prime from 2 to 5000011");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {what} {given}: expected {expected}")]
pub struct InvalidSetting {
    what: &'static str,
    given: String,
    expected: &'static str,
}

impl InvalidSetting {
    pub(super) fn new(
        what: &'static str,
        given: impl std::fmt::Display,
        expected: &'static str,
    ) -> Self {
        Self {
            what,
            given: given.to_string(),
            expected,
        }
    }
}
