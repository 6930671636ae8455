use std::borrow::Cow;

/// A text is no load report, or not one that is [taken](super).
///
/// The message says what is wrong, and with which value, up to 40 characters of it.
///
/// # Examples
///
/// ```
/// use evenkeel::load::LoadReport;
///
/// let error = "TEXT eps=many".parse::<LoadReport>().unwrap_err();
/// let expected = "invalid load report: eps is \"many\", expected a number from 0";
/// assert_eq!(error.to_string(), expected);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid load report: {0}")]
pub struct InvalidLoadReport(Problem<'static>);

/// What is wrong with it. Borrowed, so that whoever does not ask pays for no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Problem<'a> {
    #[error("{0} bytes, expected 8192 at most")]
    TooLong(usize),
    #[error("expected UTF-8")]
    NotUtf8,
    #[error("format {0:?}, expected TEXT or JSON")]
    Format(Cow<'a, str>),
    #[error("more than 64 entries")]
    TooMany,
    #[error("{0:?}, expected NAME=NUMBER")]
    NoEntry(Cow<'a, str>),
    #[error("{name} is {given:?}, expected a number from 0")]
    NoLoad {
        name: &'static str,
        given: Cow<'a, str>,
    },
    #[error("{0} twice")]
    Twice(&'static str),
    #[error("{0}")]
    NoJson(String),
    #[error("{0}, expected an object")]
    NoObject(&'static str),
}

impl<'a> Problem<'a> {
    pub(super) fn format(given: &'a str) -> Self {
        Self::Format(shortened(given))
    }

    pub(super) fn no_entry(given: &'a str) -> Self {
        Self::NoEntry(shortened(given))
    }

    pub(super) fn no_load(name: &'static str, given: &'a str) -> Self {
        let given = shortened(given);
        Self::NoLoad { name, given }
    }

    fn into_owned(self) -> Problem<'static> {
        let owned = |text: Cow<'a, str>| Cow::Owned(text.into_owned());
        match self {
            Self::TooLong(length) => Problem::TooLong(length),
            Self::NotUtf8 => Problem::NotUtf8,
            Self::Format(given) => Problem::Format(owned(given)),
            Self::TooMany => Problem::TooMany,
            Self::NoEntry(given) => Problem::NoEntry(owned(given)),
            Self::NoLoad { name, given } => Problem::NoLoad {
                name,
                given: owned(given),
            },
            Self::Twice(name) => Problem::Twice(name),
            Self::NoJson(error) => Problem::NoJson(error),
            Self::NoObject(what) => Problem::NoObject(what),
        }
    }
}

impl From<Problem<'_>> for InvalidLoadReport {
    fn from(problem: Problem<'_>) -> Self {
        Self(problem.into_owned())
    }
}

fn shortened(text: &str) -> Cow<'_, str> {
    const MOST: usize = 40;
    let end = text.char_indices().nth(MOST);
    Cow::Borrowed(end.map_or(text, |(end, _)| &text[..end]))
}
