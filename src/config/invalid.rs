use std::fmt::Display;

use crate::InvalidSetting;

/// A value that a builder refuses, and where it stands: `ejection.max_ejected`.
#[derive(Debug)]
pub(super) struct Invalid {
    path: String,
    problem: String,
}

impl Invalid {
    pub(super) fn at(path: impl Into<String>, problem: impl Display) -> Self {
        Self {
            path: path.into(),
            problem: problem.to_string(),
        }
    }

    /// Puts the name of what it is a part of before its path.
    pub(super) fn within(mut self, outer: impl Display) -> Self {
        self.path = format!("{outer}.{}", self.path);
        self
    }

    /// Refuses what makes no sense where it stands.
    pub(super) fn setting(
        path: impl Into<String>,
        what: &'static str,
        given: impl Display,
        expected: &'static str,
    ) -> Self {
        Self::at(path, InvalidSetting::new(what, given, expected))
    }
}

impl Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

/// Tells a builder a value, if there is one.
pub(super) trait Told: Sized {
    fn told<V, E: Display>(
        self,
        path: &str,
        value: Option<V>,
        tell: impl FnOnce(Self, V) -> Result<Self, E>,
    ) -> Result<Self, Invalid> {
        match value {
            Some(value) => tell(self, value).map_err(|error| Invalid::at(path, error)),
            None => Ok(self),
        }
    }

    /// The same for what takes any value.
    fn with<V>(self, value: Option<V>, tell: impl FnOnce(Self, V) -> Self) -> Self {
        match value {
            Some(value) => tell(self, value),
            None => self,
        }
    }
}

impl<B> Told for B {}
