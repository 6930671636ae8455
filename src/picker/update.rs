use std::fmt;
use std::ops::BitOr;

use crate::set::BackendSet;

/// A change of the set, for [`Picker::prepare`](super::Picker::prepare).
pub struct Update<'a> {
    members: &'a dyn BackendSet,
    eligible: &'a dyn BackendSet,
    layout: Option<u64>,
    guarded: bool,
}

impl<'a> Update<'a> {
    /// A change to a set of members, of which some are eligible.
    ///
    /// # Examples
    ///
    /// Preparing a picker without tower, for a set whose members are all eligible:
    ///
    /// ```
    /// use evenkeel::Picker;
    /// use evenkeel::picker::{Context, Update, WeightedRoundRobin};
    ///
    /// let set = [("a", 5), ("b", 1), ("c", 1)];
    /// let picker = WeightedRoundRobin::starting_at(0);
    /// let picker = picker.prepare(&Update::new(&set, &set)).expect("it has a table");
    ///
    /// let mut cx = Context::new();
    /// let picks: Vec<_> = (0..7).filter_map(|_| picker.pick(&set, &(), &mut cx)).collect();
    /// assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
    /// ```
    pub fn new(members: &'a dyn BackendSet, eligible: &'a dyn BackendSet) -> Self {
        Self {
            members,
            eligible,
            layout: None,
            guarded: false,
        }
    }

    /// Says which layout the members are: as long as it is the same, so are their ids, weights,
    /// hash keys, and their order. No other pool has it. And whether some of the eligible do not
    /// take every request that is picked for them.
    pub(super) fn of_pool(mut self, layout: u64, guarded: bool) -> Self {
        (self.layout, self.guarded) = (Some(layout), guarded);
        self
    }

    pub(super) fn is_guarded(&self) -> bool {
        self.guarded
    }

    pub(super) fn layout(&self) -> Option<u64> {
        self.layout
    }

    /// Returns all members, eligible or not. Tables that map keys are built from these, so that a
    /// key moves only when its own backend is out.
    ///
    /// At pick time, [`rank_of`](BackendSet::rank_of) the slot of a member's
    /// [`handle`](BackendSet::handle) tells whether it can be picked.
    pub fn members(&self) -> &'a dyn BackendSet {
        self.members
    }

    /// Returns the backends that can be picked now. Schedules are built from these, so that the
    /// share of one that is out is divided over all the others.
    pub fn eligible(&self) -> &'a dyn BackendSet {
        self.eligible
    }
}

impl fmt::Debug for Update<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update")
            .field("members", &self.members.len())
            .field("eligible", &self.eligible.len())
            .finish()
    }
}

/// What has to be recorded for a picker, from [`Picker::needs`](super::Picker::needs).
///
/// Requests in flight are always counted.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::Needs;
///
/// let needs = Needs::LATENCY | Needs::OBSERVATIONS;
/// assert!(needs.contains(Needs::LATENCY));
/// assert_eq!(needs, Needs::all());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Needs(u8);

impl Needs {
    /// Nothing but requests in flight.
    pub const NOTHING: Self = Self(0);
    /// [`BackendSet::latency`]: two readings of the clock and three atomic updates for each
    /// request, about 65 ns.
    pub const LATENCY: Self = Self(1);
    /// [`Picker::observe`](super::Picker::observe): two or three readings of the clock and as many
    /// calls for each request. Without [`LATENCY`](Self::LATENCY), the pool learns latency from one
    /// request in eight.
    pub const OBSERVATIONS: Self = Self(2);

    /// An index that makes [`BackendSet::least_in_flight`] fast, whatever the weights: two to four
    /// atomic updates for each request, about 20 ns; 50 bytes for each backend, and 4 KiB for each
    /// different weight. The pool keeps it from then on, for whoever uses it. Not part of
    /// [`all`](Self::all).
    pub const LOAD_INDEX: Self = Self(4);

    /// A count that makes [`BackendSet::total_in_flight`] fast: two atomic additions for each
    /// request, about 5 ns. The pool keeps it from then on, for whoever uses it. Not part of
    /// [`all`](Self::all).
    pub const LOAD_TOTAL: Self = Self(8);

    /// Everything that is recorded of requests.
    pub const fn all() -> Self {
        Self(Self::LATENCY.0 | Self::OBSERVATIONS.0)
    }

    /// Returns whether all of `other` is needed.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for Needs {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}
