//! Shares follow the weights, masked or not, prepared or not, and in a pool of which a part is out.

use std::ops::Range;

use evenkeel::picker::{Algorithm, Selector};
use evenkeel::set::Masked;
use evenkeel::{Backend, BackendSet, Pool};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::{cases, contexts, picker, weight};

/// Six standard deviations of a count with this expectation, and some picks for very small ones.
fn chance(expected: f64) -> f64 {
    6.0 * expected.sqrt() + 6.0
}

/// What share of the picks each backend should get while there is no load.
fn ideal_shares(algorithm: Algorithm, weights: &[u32]) -> Vec<f64> {
    let first = weights.iter().position(|&weight| weight > 0);
    let parts: Vec<f64> = match algorithm {
        Algorithm::RoundRobin | Algorithm::Random | Algorithm::ReportedWeightedRoundRobin => {
            weights
                .iter()
                .map(|&weight| f64::from(weight.min(1)))
                .collect()
        }
        Algorithm::WeightedRoundRobin
        | Algorithm::WeightedRandom
        | Algorithm::LeastRequests
        | Algorithm::ExactLeastRequests
        | Algorithm::LeastResponseTime
        | Algorithm::Adaptive
        | Algorithm::Prequal
        | Algorithm::C3 => weights.iter().map(|&weight| f64::from(weight)).collect(),
        Algorithm::Ordered => (0..weights.len())
            .map(|at| f64::from(u8::from(Some(at) == first)))
            .collect(),
        other => panic!("say here what {other} promises"),
    };
    let sum: f64 = parts.iter().sum();
    parts.iter().map(|part| part / sum.max(1.0)).collect()
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn shares_follow_the_weights_of_what_is_not_masked(
        weights in prop::collection::vec(weight(), 1..30),
        out in prop::collection::vec(any::<Index>(), 0..12),
        attempt in 0u32..2,
        prepared: bool,
        seed: u64,
    ) {
        const PICKS: usize = 4_000;
        let set: Vec<(&str, u32)> = weights.iter().map(|&weight| ("", weight)).collect();
        let mut masked = Masked::new(&set);
        let mut rest = weights.clone();
        for out in out {
            masked.mask_original(out.index(weights.len()));
            rest[out.index(weights.len())] = 0;
        }
        for &algorithm in Algorithm::ALL {
            let picker = picker(algorithm, seed, prepared.then_some(&set as &dyn BackendSet));
            let mut counts = vec![0u32; weights.len()];
            for cx in contexts(seed).take(PICKS) {
                let mut cx = cx.with_attempt(attempt);
                if let Some(rank) = picker.pick(&masked, &(), &mut cx) {
                    counts[masked.unmasked(rank)] += 1;
                }
            }
            are_close(algorithm, &counts, &rest, PICKS)?;
        }
    }
}

proptest! {
    #![proptest_config(cases(8))]

    /// Those that are out stand next to each other, so that a neighbour that takes over shows.
    #[test]
    fn the_shares_of_backends_that_are_out_go_to_all_the_others(
        n in 2usize..300,
        weight in prop_oneof![Just(1..2), Just(1..4), Just(1..u32::MAX)],
        (from, to) in (any::<Index>(), any::<Index>()),
        seed: u64,
    ) {
        const PICKS: usize = 20_000;
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut weights: Vec<u32> = (0..n).map(|_| rng.u32(weight.clone())).collect();
        let (from, to) = (from.index(n), to.index(n));
        let out = from.min(to)..from.max(to);
        let pool = pool_without(&weights, out.clone());
        weights[out].fill(0);
        for &algorithm in Algorithm::ALL {
            let selector = Selector::new(pool.clone(), picker(algorithm, seed, None));
            let mut counts = vec![0; n];
            for _ in 0..PICKS {
                let (at, _at_once_over) = selector.select(&()).expect("one is always left");
                counts[at] += 1;
            }
            are_close(algorithm, &counts, &weights, PICKS)?;
        }
    }
}

fn pool_without(weights: &[u32], out: Range<usize>) -> Pool<usize> {
    let members = weights.iter().enumerate();
    let pool: Pool<_> = members
        .map(|(at, &weight)| Backend::new(at.to_string(), at).weight(weight))
        .collect();
    pool.edit(|edit| {
        for at in out {
            match at % 3 {
                0 => edit.drain(&at.to_string()),
                1 => edit.remove(&at.to_string()),
                _ => edit.set_weight(&at.to_string(), 0),
            }
        }
    });
    pool
}

fn are_close(
    algorithm: Algorithm,
    counts: &[u32],
    weights: &[u32],
    picks: usize,
) -> Result<(), TestCaseError> {
    for (at, share) in ideal_shares(algorithm, weights).into_iter().enumerate() {
        let (count, expected) = (f64::from(counts[at]), share * picks as f64);
        let close = (count - expected).abs() <= chance(expected);
        prop_assert!(
            close,
            "{algorithm}: {count} for {expected} at {at} of {weights:?}"
        );
    }
    Ok(())
}
