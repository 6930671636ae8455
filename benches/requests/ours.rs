//! Requests through this crate's `Balance`, and picks without one.

use std::hint::black_box;
use std::sync::Arc;

use evenkeel::Balance;
use evenkeel::picker::{self, Algorithm, Picker, Update};

use super::common::measure::Case;
use super::common::pool::{Weights, pool, within};

pub(crate) fn balance<T>(
    algorithm: Algorithm,
    size: usize,
    weights: Weights,
    value: &T,
) -> Balance<T, u64>
where
    T: Clone + Send + Sync + 'static,
{
    Balance::new(pool(size, weights, value), algorithm.picker())
}

/// Picks from the pool's own set, by a picker that was prepared for it.
pub(crate) fn picks<T>(algorithm: Algorithm, balance: Balance<T, u64>) -> Case
where
    T: Clone + Send + Sync + 'static,
{
    let mut picker: Arc<dyn Picker<u64>> = algorithm.picker();
    within(balance.pool(), |set| {
        if let Some(prepared) = picker.prepare(&Update::new(set, set)) {
            picker = prepared;
        }
    });
    Case::new(move |n| {
        within(balance.pool(), |set| {
            for request in 0..n {
                let mut cx = picker::Context::new();
                black_box(picker.pick(black_box(set), &black_box(request), &mut cx));
            }
        });
    })
}
