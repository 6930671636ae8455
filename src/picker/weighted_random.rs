use std::sync::Arc;

use super::sample::Sampler;
use super::{Context, Needs, Picker, Update};
use crate::set::BackendSet;

/// Picks any backend, each with a chance in proportion to its weight.
///
/// # When to use
///
/// Like [`Random`](super::Random), for backends of different sizes. For shares that follow the
/// weights closely at any moment, and not only on average, use
/// [`WeightedRoundRobin`](super::WeightedRoundRobin).
///
/// # Algorithm
///
/// Vose's alias method: O(1), 12 bytes for each backend, no shared state. Equal weights need no
/// table.
///
/// # Examples
///
/// ```
/// use evenkeel::Picker;
/// use evenkeel::picker::{Context, WeightedRandom};
///
/// let rank = WeightedRandom::new().pick(&[("a", 0), ("b", 3)], &(), &mut Context::new());
/// assert_eq!(rank, Some(1));
/// ```
#[derive(Debug)]
#[must_use]
pub struct WeightedRandom {
    sampler: Sampler,
}

impl WeightedRandom {
    /// Creates the picker.
    pub fn new() -> Self {
        Self {
            sampler: Sampler::new(),
        }
    }
}

impl<Req: ?Sized> Picker<Req> for WeightedRandom {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        self.sampler.draw(set, cx)
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
        "drawn at random, by weight"
    }
}

impl Default for WeightedRandom {
    fn default() -> Self {
        Self::new()
    }
}
