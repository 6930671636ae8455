use std::error::Error;
use std::fmt;
use std::sync::Arc;

use crate::backend::State;
use crate::set::Snapshot;

/// Why there is nothing to pick, or nothing was picked.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::{NoBackend, RoundRobin, Selector};
/// use evenkeel::{Backend, Pool};
///
/// let pool = Pool::from([Backend::new("a", ())]);
/// let selector = Selector::<_, ()>::new(pool.clone(), RoundRobin::new());
/// pool.drain("a");
///
/// let error = selector.select(&()).unwrap_err();
/// assert!(matches!(error, NoBackend::NoneEligible { members: 1, .. }));
/// assert_eq!(error.to_string(), "none is eligible (a: draining)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoBackend {
    /// The pool is empty.
    Empty,
    /// No member is eligible.
    #[non_exhaustive]
    NoneEligible {
        /// The first few members and their states.
        first: Vec<(Arc<str>, State)>,
        /// How many members there are.
        members: usize,
    },
    /// All backends that are eligible are [full](crate::set::Limits).
    Full,
    /// The backend that the request is bound to is not a member any more.
    Gone,
    /// The backend that the request is bound to, and to no other, takes none in its state.
    #[non_exhaustive]
    Out {
        /// Its id.
        backend: Arc<str>,
        /// Its state.
        state: State,
    },
    /// The picker chose none of the eligible backends. In a balance this fails at once:
    /// waiting is for the set to change, and the picker has had its say.
    Declined {
        /// How many there were to choose from.
        eligible: usize,
    },
    /// The picker chose a rank that is not in the set, which is a mistake of the picker.
    OutOfRange {
        /// What it chose.
        rank: usize,
        /// How many there were to choose from.
        eligible: usize,
    },
}

/// So many backends are named in a message; a list has all.
pub(crate) const NAMED: usize = 8;

impl NoBackend {
    /// Why the backend that a request is bound to does not take it.
    #[cfg(feature = "tower")]
    pub(crate) fn of_bound<T>(snapshot: &Snapshot<T>, handle: crate::backend::Handle) -> Self {
        match snapshot.member_of(handle) {
            None => Self::Gone,
            Some(member) => Self::Out {
                backend: Arc::clone(member.live.shared_id()),
                state: member.state(),
            },
        }
    }

    /// Why nothing in this set is eligible.
    pub(crate) fn of<T>(snapshot: &Snapshot<T>) -> Self {
        let members = snapshot.all();
        match members.len() {
            0 => Self::Empty,
            count => Self::NoneEligible {
                first: members
                    .take(NAMED)
                    .map(|member| (Arc::clone(member.live.shared_id()), member.state()))
                    .collect(),
                members: count,
            },
        }
    }
}

impl fmt::Display for NoBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the pool is empty"),
            Self::NoneEligible { first, members } => {
                f.write_str("none is eligible (")?;
                for (i, (id, state)) in first.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    write!(f, "{comma}{id}: {state}")?;
                }
                and_more(f, *members)?;
                f.write_str(")")
            }
            Self::Out { backend, state } => {
                write!(
                    f,
                    "the backend that it is bound to is out ({backend}: {state})"
                )
            }
            Self::Full => f.write_str("all that are eligible are full"),
            Self::Gone => f.write_str("the backend that it is bound to has left"),
            Self::Declined { eligible } => {
                write!(f, "the picker chose none of {eligible} eligible backends")
            }
            Self::OutOfRange { rank, eligible } => {
                write!(
                    f,
                    "the picker chose rank {rank} of {eligible} eligible backends"
                )
            }
        }
    }
}

impl Error for NoBackend {}

/// After the first few of so many: how many more there are.
pub(crate) fn and_more(f: &mut fmt::Formatter<'_>, count: usize) -> fmt::Result {
    match count.saturating_sub(NAMED) {
        0 => Ok(()),
        rest => write!(f, " and {rest} more"),
    }
}
