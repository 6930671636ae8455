//! How even shares are, and which keys move.

use evenkeel::Pool;
use evenkeel::picker::Context;

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

/// The slot of the backend that each of the first keys goes to.
pub(crate) fn owners<T: Clone>(picker: &Keys, pool: &Pool<T>, count: usize) -> Vec<usize> {
    let picker = prepared_for(picker, pool);
    let mut owners = Vec::with_capacity(count);
    within(pool, |set| {
        let picks = keys().take(count).map(|key| {
            let rank = picker.pick(set, &key, &mut Context::new());
            set.handle(rank.expect("all can be picked")).slot()
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

/// So many backends from all over a list.
pub(crate) fn some_of(size: usize, count: usize) -> Vec<usize> {
    let at = |number| (2 * number + 1) * size / (2 * count);
    (0..count).map(at).collect()
}

/// Lets backends leave, each from a full pool of its own.
pub(crate) fn moved<T: Clone>(
    picker: &Keys,
    pool: impl Fn() -> Pool<T>,
    leaves: &[usize],
    before: &[usize],
) -> Moved {
    let mut sum = Moved {
        all: 0.0,
        needlessly: 0.0,
    };
    for &gone in leaves {
        let pool = pool();
        let size = pool.len();
        pool.remove(&id(gone));
        let after = owners(picker, &pool, before.len());
        let moves = before
            .iter()
            .zip(&after)
            .filter(|(before, after)| before != after);
        let (own, others): (Vec<_>, Vec<_>) = moves.partition(|&(&before, _)| before == gone);
        let share = |count: usize| count as f64 / before.len() as f64 / leaves.len() as f64;
        sum.all += share(own.len() + others.len()) * size as f64;
        sum.needlessly += share(others.len());
    }
    sum
}
