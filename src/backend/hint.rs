use std::fmt;

/// What whoever names a backend says of its health: a registry, an orchestrator, a control plane.
///
/// It counts beside what probes and traffic show: the worst word holds. An operator's order on the
/// pool counts more.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::{Hint, State};
/// use evenkeel::{Backend, Pool};
///
/// let pool = Pool::from([Backend::new("a", ()), Backend::new("b", ()).hint(Hint::Draining)]);
/// assert_eq!(pool.get("b").unwrap().state(), State::Draining);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Hint {
    /// Nothing speaks against it, or nothing is known. The default.
    #[default]
    Healthy,
    /// It is to be used after the healthy.
    Degraded,
    /// It is not to be used, unless its pool [is in panic](crate::set::Rules::panic_threshold).
    Unhealthy,
    /// It is about to leave: no new requests, running ones finish.
    Draining,
}

impl Hint {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
            Self::Draining => "draining",
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
