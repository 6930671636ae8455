use crate::InvalidSetting;
use crate::set::BackendSet;

/// How much more than its share a backend may have in flight: c ≥ 1, in millionths.
///
/// Kept as a whole number, so that whether a backend is at its bound is decided without rounding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    millionths: u64,
}

/// The bound at the moment of one pick.
pub(super) struct Limit<'a> {
    set: &'a dyn BackendSet,
    millionths: u64,
    /// c × (total + 1) in millionths, and all weights: read when first asked for.
    room: Option<(u128, u128)>,
}

const MILLION: f64 = 1e6;
const MOST: f64 = 1e6;

impl Bound {
    pub(super) fn new(factor: f64) -> Result<Self, InvalidSetting> {
        // As a whole number first: 0.9999999 is not 1.
        if (1.0..=MOST).contains(&factor) {
            Ok(Self {
                millionths: (factor * MILLION).round() as u64,
            })
        } else {
            let expected = "a number from 1 to 1000000, such as 1.25";
            Err(InvalidSetting::new("load factor", factor, expected))
        }
    }

    pub(super) fn on(self, set: &dyn BackendSet) -> Limit<'_> {
        Limit {
            set,
            millionths: self.millionths,
            room: None,
        }
    }
}

impl Limit<'_> {
    /// Returns whether one more request keeps the backend within its bound: load + 1 ≤ ⌈c × (total
    /// + 1) × weight / all weights⌉, which is load × all weights < c × (total + 1) × weight.
    pub(super) fn allows(&mut self, rank: usize) -> bool {
        let load = self.set.in_flight(rank);
        if load == 0 {
            return true;
        }
        let (room, weights) = *self.room.get_or_insert_with(|| {
            let total = self.set.total_in_flight() as u128 + 1;
            (
                total * u128::from(self.millionths),
                u128::from(self.set.total_weight()) * MILLION as u128,
            )
        });
        let room = room.saturating_mul(u128::from(self.set.weight(rank)));
        (load as u128).saturating_mul(weights) < room
    }
}
