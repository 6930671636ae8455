//! How even shares are, and which keys move.

use evenkeel::Pool;
use evenkeel::backend::Handle;
use evenkeel::picker::Context;

use super::Plan;
use super::common::pool::{id, within};
use super::pickers::{Keys, keys, prepared_for};

/// What became of the keys when one backend left, on average over several of them.
pub(crate) struct Moved {
    /// The share of keys that moved, times the number of backends: 1 if it was those of the one
    /// that left, which had an even share.
    pub(crate) all: f64,
    /// The share of keys that moved although their backend did not leave.
    pub(crate) needlessly: f64,
}

/// Where each of the first keys goes.
pub(crate) fn owners<T: Clone>(picker: &Keys, pool: &Pool<T>, count: usize) -> Vec<Handle> {
    let picker = prepared_for(picker, pool);
    let mut owners = Vec::with_capacity(count);
    within(pool, |set| {
        let picks = keys().take(count).map(|key| {
            let rank = picker.pick(set, &key, &mut Context::new());
            set.handle(rank.expect("all can be picked"))
        });
        owners.extend(picks);
    });
    owners
}

/// Returns the largest share over the mean.
pub(crate) fn largest(size: usize, slots: impl IntoIterator<Item = usize>) -> f64 {
    let mut counts = vec![0_usize; size];
    let mut all = 0;
    for slot in slots {
        counts[slot] += 1;
        all += 1;
    }
    let largest = counts.into_iter().max().unwrap_or(0);
    largest as f64 * size as f64 / f64::from(all)
}

/// What `largest` is for shares that are even, but for the chance that keys are drawn by.
pub(crate) fn by_chance(size: usize, keys: usize) -> f64 {
    const SEED: u64 = 7;
    let mut random = fastrand::Rng::with_seed(SEED);
    largest(
        size,
        std::iter::repeat_with(|| random.usize(..size)).take(keys),
    )
}

/// Lets backends leave, each from the full pool.
pub(crate) fn moved<T: Clone>(
    plan: &Plan,
    picker: &Keys,
    size: usize,
    leaves: usize,
    pool: impl Fn() -> Pool<T>,
    before: &[Handle],
) -> Moved {
    let mut sum = Moved {
        all: 0.0,
        needlessly: 0.0,
    };
    for leave in 0..leaves {
        // All over the list.
        let gone = (2 * leave + 1) * size / (2 * leaves);
        let pool = pool();
        pool.remove(&id(gone));
        let after = owners(picker, &pool, plan.keys);
        let moves = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after);
        let (own, others): (Vec<_>, Vec<_>) = moves.partition(|(before, _)| before.slot() == gone);
        let share = |count: usize| count as f64 / plan.keys as f64 / leaves as f64;
        sum.all += share(own.len() + others.len()) * size as f64;
        sum.needlessly += share(others.len());
    }
    sum
}
