use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One pick, explained; from [`PickLog::picks`](super::PickLog::picks).
///
/// Displayed, it says which backend was picked, by what rule, and what the picker looked at:
///
/// ```text
/// "b" of 4, fewest requests in flight for its weight, of a few drawn at random: "a" (3 in flight, weight 1), "b" (0 in flight, weight 1, latency 2.1ms)
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ExplainedPick {
    pub(super) rule: &'static str,
    pub(super) eligible: usize,
    pub(super) looked_at: usize,
    pub(super) candidates: Vec<Candidate>,
    pub(super) picked: Option<Arc<str>>,
}

/// A backend that a picker looked at, as it was then.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    pub(super) id: Arc<str>,
    pub(super) in_flight: usize,
    pub(super) weight: u32,
    pub(super) latency: Option<Duration>,
}

impl ExplainedPick {
    /// How many candidates are listed at most, besides the one that was picked.
    pub const MAX_CANDIDATES: usize = 16;

    /// Returns by what the picker picks: its [rule](crate::Picker::rule).
    pub fn rule(&self) -> &'static str {
        self.rule
    }

    /// Returns how many could be picked: those that had the request before are not among them.
    pub fn eligible(&self) -> usize {
        self.eligible
    }

    /// Returns how many of them the picker looked at, be they listed or not.
    pub fn looked_at(&self) -> usize {
        self.looked_at
    }

    /// Returns those that the picker looked at, in the order in which it did, and the one that it
    /// picked.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Returns the id of the one that it picked, if it wanted any.
    pub fn picked(&self) -> Option<&str> {
        self.picked.as_deref()
    }
}

impl Candidate {
    /// Returns the id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns how many requests were in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Returns the weight, as the picker saw it.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Returns the latency that was expected, if it was ever measured.
    pub fn latency(&self) -> Option<Duration> {
        self.latency
    }
}

impl fmt::Display for ExplainedPick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.picked {
            Some(id) => write!(f, "{id:?}")?,
            None => f.write_str("none")?,
        }
        write!(f, " of {}, {}", self.eligible, self.rule)?;
        let mut separator = ": ";
        for candidate in &self.candidates {
            write!(f, "{separator}{candidate}")?;
            separator = ", ";
        }
        match self.looked_at.saturating_sub(self.candidates.len()) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            id,
            in_flight,
            weight,
            latency,
        } = self;
        write!(f, "{id:?} ({in_flight} in flight, weight {weight}")?;
        if let Some(latency) = latency {
            write!(f, ", latency {latency:.1?}")?;
        }
        f.write_str(")")
    }
}
