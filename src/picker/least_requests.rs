use std::sync::Arc;

use super::sample::Sampler;
use super::{Context, Needs, Picker, Update};
use crate::InvalidSetting;
use crate::set::{BackendSet, less_loaded};

/// Draws a few backends by weight and picks the one with the fewest requests in flight.
///
/// # When to use
///
/// The one to begin with. It follows load at once, costs the same for any number of backends, and
/// does not herd: clients that do not know of each other rarely all pick the same backend.
///
/// Requests in flight alone say nothing of failures: a backend that fails at once has few of them,
/// and draws traffic. [`LeastResponseTime`](super::LeastResponseTime) sees that.
///
/// # Algorithm
///
/// The power of two choices (Mitzenmacher). Two backends are drawn, each with a chance in
/// proportion to its weight, and the one with fewer requests in flight *for its weight* is picked;
/// the first drawn if they tie. Without load, shares are therefore those of the weights. With n
/// large at load ρ = 0.9 the mean response time is 2.6 service times, against 10 for random picks;
/// three choices give 2.0.
///
/// O(choices), no shared state, 12 bytes for each backend while weights differ.
///
/// # References
///
/// Michael Mitzenmacher, *The Power of Two Choices in Randomized Load Balancing*, 2001.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::LeastRequests;
///
/// let two = LeastRequests::new();
/// let three = LeastRequests::with_choices(3)?;
///
/// let error = LeastRequests::with_choices(1).unwrap_err();
/// assert_eq!(error.to_string(), "invalid number of choices 1: expected 2 to 32");
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct LeastRequests {
    sampler: Sampler,
}

impl LeastRequests {
    /// Compares two backends.
    pub fn new() -> Self {
        Self {
            sampler: Sampler::new(),
        }
    }

    /// Compares `choices` backends.
    ///
    /// # Errors
    ///
    /// When it is not from 2 to 32.
    pub fn with_choices(choices: usize) -> Result<Self, InvalidSetting> {
        Ok(Self {
            sampler: Sampler::with_choices(choices)?,
        })
    }
}

impl<Req: ?Sized> Picker<Req> for LeastRequests {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        if self.sampler.is_equal() {
            self.sampler
                .best_of(set, cx, |a, b, _| set.in_flight(a) < set.in_flight(b))
        } else {
            self.sampler.best_of(set, cx, |a, b, _| {
                let (loaded, other) = (set.in_flight(a), set.in_flight(b));
                less_loaded(loaded, set.weight(a), other, set.weight(b)).is_lt()
            })
        }
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        Some(Arc::new(Self {
            sampler: self.sampler.prepare(update.eligible()),
        }))
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn rule(&self) -> &'static str {
        "fewest requests in flight for its weight, of a few drawn at random"
    }
}

impl Default for LeastRequests {
    fn default() -> Self {
        Self::new()
    }
}
