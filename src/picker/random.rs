use super::sample::evenly;
use super::{Context, Needs, Picker};
use crate::set::BackendSet;

/// Picks any backend, each with the same chance.
///
/// # When to use
///
/// When nothing is known of loads and no state should be shared. Weights are ignored, except that 0
/// is never picked; see [`WeightedRandom`](super::WeightedRandom). With n backends at load ρ,
/// response times are those of n separate queues, which [`LeastRequests`](super::LeastRequests)
/// shortens several times over.
///
/// O(1), no state.
///
/// # Examples
///
/// ```
/// use evenkeel::Picker;
/// use evenkeel::picker::{Context, Random};
///
/// let rank = Random::new().pick(&["a", "b"], &(), &mut Context::new());
/// assert!(rank.is_some_and(|rank| rank < 2));
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Random(());

impl Random {
    /// Creates the picker.
    pub fn new() -> Self {
        Self::default()
    }
}

impl<Req: ?Sized> Picker<Req> for Random {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        let rank = cx.random_below(set.len());
        if rank < set.len() && set.weight(rank) > 0 {
            return Some(rank);
        }
        evenly(set, cx.random())
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn rule(&self) -> &'static str {
        "drawn at random, all alike"
    }
}
