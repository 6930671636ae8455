use std::num::NonZeroUsize;

use super::{Context, Needs, Picker};
use crate::set::BackendSet;

/// Picks the first backend of the list until it is full, then the next.
///
/// # When to use
///
/// To keep most of the machines idle, so that they can be switched off or serve as reserves.
///
/// # Algorithm
///
/// In the order of [`Pool::list`](crate::Pool::list), the first backend with fewer than `capacity ×
/// weight` requests in flight. When all are full, the one with the fewest for its weight. Without a
/// capacity the first eligible backend takes everything.
///
/// O(1) while the first has room, O(n) at worst.
///
/// # Examples
///
/// ```
/// use evenkeel::Picker;
/// use evenkeel::picker::{Context, Ordered};
/// use std::num::NonZeroUsize;
///
/// let picker = Ordered::new().capacity(NonZeroUsize::new(100).unwrap());
/// assert_eq!(picker.pick(&["a", "b"], &(), &mut Context::new()), Some(0));
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct Ordered {
    capacity: Option<NonZeroUsize>,
}

impl Ordered {
    /// Creates the picker, without a capacity.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how many requests in flight fill a backend, for each unit of its weight. Default: no
    /// number does.
    pub fn capacity(mut self, capacity: NonZeroUsize) -> Self {
        self.capacity = Some(capacity);
        self
    }

    fn has_room(self, set: &dyn BackendSet, rank: usize) -> bool {
        let weight = set.weight(rank) as usize;
        weight > 0
            && self
                .capacity
                .is_none_or(|capacity| set.in_flight(rank) < capacity.get().saturating_mul(weight))
    }
}

impl<Req: ?Sized> Picker<Req> for Ordered {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        (0..set.len())
            .find(|&rank| self.has_room(set, rank))
            .or_else(|| set.least_in_flight(cx.random()))
    }

    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    fn rule(&self) -> &'static str {
        "the first with room; the least loaded of all if none has"
    }
}
