use std::fmt;
use std::sync::Arc;

use super::{
    Adaptive, C3, ExactLeastRequests, LeastRequests, LeastResponseTime, Ordered, Picker, Prequal,
    Random, ReportedWeightedRoundRobin, RoundRobin, WeightedRandom, WeightedRoundRobin,
};

/// An enumeration of algorithms by their names.
macro_rules! named_algorithms {
    (
        $(#[$doc:meta])*
        pub enum $algorithms:ident {
            $($algorithm:ident = $name:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $algorithms {
            $(
                #[doc = concat!("`", $name, "`: [`", stringify!($algorithm), "`] at its defaults.")]
                $algorithm,
            )+
        }

        impl $algorithms {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$algorithm),+];

            /// Returns the name, as [`FromStr`](std::str::FromStr) takes it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$algorithm => $name,)+
                }
            }
        }

        impl std::str::FromStr for $algorithms {
            type Err = $crate::picker::UnknownAlgorithm;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                let found = Self::ALL.iter().find(|algorithm| algorithm.name() == name);
                found
                    .copied()
                    .ok_or_else(|| $crate::picker::UnknownAlgorithm::new(name, &[$($name),+]))
            }
        }

        impl std::fmt::Display for $algorithms {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}
pub(super) use named_algorithms;

named_algorithms! {
    /// The name of an algorithm of this crate, to choose one at run time.
    ///
    /// Those that go by a key of the request are in [`HashAlgorithm`](super::hash::HashAlgorithm).
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
    pub enum Algorithm {
        RoundRobin = "round-robin",
        WeightedRoundRobin = "weighted-round-robin",
        Random = "random",
        WeightedRandom = "weighted-random",
        LeastRequests = "least-requests",
        ExactLeastRequests = "exact-least-requests",
        LeastResponseTime = "least-response-time",
        Ordered = "ordered",
        Adaptive = "adaptive",
        Prequal = "prequal",
        C3 = "c3",
        ReportedWeightedRoundRobin = "reported-weighted-round-robin",
    }
}

/// No algorithm has this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownAlgorithm {
    name: String,
    known: &'static [&'static str],
}

impl Algorithm {
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
            Self::Adaptive => Arc::new(Adaptive::new()),
            Self::Prequal => Arc::new(Prequal::new()),
            Self::C3 => Arc::new(C3::new()),
            Self::ReportedWeightedRoundRobin => Arc::new(ReportedWeightedRoundRobin::new()),
        }
    }
}

impl UnknownAlgorithm {
    pub(super) fn new(name: &str, known: &'static [&'static str]) -> Self {
        Self {
            name: name.to_owned(),
            known,
        }
    }
}

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self.known.join(", ");
        write!(
            f,
            "unknown algorithm {:?}, expected one of {known}",
            self.name
        )
    }
}

impl std::error::Error for UnknownAlgorithm {}
