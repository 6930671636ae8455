use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{
    ExactLeastRequests, LeastRequests, LeastResponseTime, Ordered, Picker, Random, RoundRobin,
    WeightedRandom, WeightedRoundRobin,
};

/// The name of an algorithm of this crate, to choose one at run time.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::{Algorithm, Context, Picker};
///
/// let algorithm: Algorithm = "least-requests".parse()?;
/// let picker = algorithm.picker::<()>();
/// assert!(picker.pick(&["a", "b"], &(), &mut Context::new()).is_some());
///
/// let error = "least-request".parse::<Algorithm>().unwrap_err();
/// assert!(error.to_string().starts_with("unknown algorithm \"least-request\", expected one of "));
/// # Ok::<(), evenkeel::picker::UnknownAlgorithm>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// `round-robin`: [`RoundRobin`].
    RoundRobin,
    /// `weighted-round-robin`: [`WeightedRoundRobin`].
    WeightedRoundRobin,
    /// `random`: [`Random`].
    Random,
    /// `weighted-random`: [`WeightedRandom`].
    WeightedRandom,
    /// `least-requests`: [`LeastRequests`] with two choices.
    LeastRequests,
    /// `exact-least-requests`: [`ExactLeastRequests`].
    ExactLeastRequests,
    /// `least-response-time`: [`LeastResponseTime`] with two choices.
    LeastResponseTime,
    /// `ordered`: [`Ordered`] without a capacity.
    Ordered,
}

/// No algorithm has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm {
    name: String,
}

impl Algorithm {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::RoundRobin,
        Self::WeightedRoundRobin,
        Self::Random,
        Self::WeightedRandom,
        Self::LeastRequests,
        Self::ExactLeastRequests,
        Self::LeastResponseTime,
        Self::Ordered,
    ];

    /// Returns the name, as [`FromStr`] takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::WeightedRoundRobin => "weighted-round-robin",
            Self::Random => "random",
            Self::WeightedRandom => "weighted-random",
            Self::LeastRequests => "least-requests",
            Self::ExactLeastRequests => "exact-least-requests",
            Self::LeastResponseTime => "least-response-time",
            Self::Ordered => "ordered",
        }
    }

    /// Makes the picker, for requests of any type.
    pub fn picker<Req: ?Sized>(self) -> Arc<dyn Picker<Req>> {
        match self {
            Self::RoundRobin => Arc::new(RoundRobin::new()),
            Self::WeightedRoundRobin => Arc::new(WeightedRoundRobin::new()),
            Self::Random => Arc::new(Random::new()),
            Self::WeightedRandom => Arc::new(WeightedRandom::new()),
            Self::LeastRequests => Arc::new(LeastRequests::new()),
            Self::ExactLeastRequests => Arc::new(ExactLeastRequests::new()),
            Self::LeastResponseTime => Arc::new(LeastResponseTime::new()),
            Self::Ordered => Arc::new(Ordered::new()),
        }
    }
}

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|algorithm| algorithm.name() == name);
        found.copied().ok_or_else(|| UnknownAlgorithm {
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown algorithm {:?}, expected one of ", self.name)?;
        for (i, algorithm) in Algorithm::ALL.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            write!(f, "{comma}{algorithm}")?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownAlgorithm {}
