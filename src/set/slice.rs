use std::time::Duration;

use super::BackendSet;

/// One element of a slice, vector or array that is used as a [`BackendSet`].
///
/// Only the id must be written. The element's index is its rank and its slot.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::{Context, RoundRobin};
/// use evenkeel::set::Candidate;
/// use evenkeel::Picker;
///
/// struct Replica {
///     host: String,
/// }
///
/// impl Candidate for Replica {
///     fn id(&self) -> &str {
///         &self.host
///     }
/// }
///
/// let replicas = [Replica { host: "db-1".into() }, Replica { host: "db-2".into() }];
/// let picker = RoundRobin::starting_at(0);
/// let mut cx = Context::new();
/// assert_eq!(picker.pick(&replicas, &(), &mut cx), Some(0));
/// assert_eq!(picker.pick(&replicas, &(), &mut cx), Some(1));
/// ```
pub trait Candidate {
    /// Returns the id.
    fn id(&self) -> &str;

    /// Returns the weight. Default 1; 0 means "not to be picked".
    fn weight(&self) -> u32 {
        1
    }

    /// Returns the name under which [hash pickers](crate::picker::hash) place it. Default: its id.
    fn hash_key(&self) -> &str {
        self.id()
    }

    /// Returns how many requests are in flight. Default 0.
    fn in_flight(&self) -> usize {
        0
    }

    /// Returns the latency to expect. Default: never measured.
    fn latency(&self) -> Option<Duration> {
        None
    }
}

impl Candidate for str {
    fn id(&self) -> &str {
        self
    }
}

impl Candidate for String {
    fn id(&self) -> &str {
        self
    }
}

/// An id and its weight.
impl<I: Candidate> Candidate for (I, u32) {
    fn id(&self) -> &str {
        self.0.id()
    }

    fn weight(&self) -> u32 {
        self.1
    }

    fn hash_key(&self) -> &str {
        self.0.hash_key()
    }

    fn in_flight(&self) -> usize {
        self.0.in_flight()
    }

    fn latency(&self) -> Option<Duration> {
        self.0.latency()
    }
}

impl<C: Candidate + ?Sized> Candidate for &C {
    fn id(&self) -> &str {
        (**self).id()
    }

    fn weight(&self) -> u32 {
        (**self).weight()
    }

    fn hash_key(&self) -> &str {
        (**self).hash_key()
    }

    fn in_flight(&self) -> usize {
        (**self).in_flight()
    }

    fn latency(&self) -> Option<Duration> {
        (**self).latency()
    }
}

macro_rules! set_of_candidates {
    ($([$($generics:tt)*] $set:ty),+ $(,)?) => {$(
        impl<C: Candidate, $($generics)*> BackendSet for $set {
            fn len(&self) -> usize {
                self[..].len()
            }

            fn id(&self, rank: usize) -> &str {
                self.get(rank).map_or("", C::id)
            }

            fn weight(&self, rank: usize) -> u32 {
                self.get(rank).map_or(0, C::weight)
            }

            fn hash_key(&self, rank: usize) -> &str {
                self.get(rank).map_or("", C::hash_key)
            }

            fn in_flight(&self, rank: usize) -> usize {
                self.get(rank).map_or(0, C::in_flight)
            }

            fn latency(&self, rank: usize, _now: std::time::Instant) -> Option<Duration> {
                self.get(rank).and_then(C::latency)
            }
        }
    )+};
}

// Slices themselves are unsized, and so cannot become `&dyn BackendSet`; a reference to one can.
set_of_candidates!([] &[C], [] Vec<C>, [const N: usize] [C; N]);
