//! Shares follow the weights, as evenly as each table promises.

use evenkeel::picker::Selector;
use evenkeel::picker::hash::{HashAlgorithm, Maglev, Rendezvous, RingHash, Table};
use proptest::prelude::*;

use crate::setup::{
    cases, chance, counts, id, key, keyed, keys, pick, places, pool, prepared, set, small,
};

const BACKENDS: usize = 100;
const KEYS: u32 = 1_000_000;

/// What a million keys see when one of a hundred backends leaves.
struct Departure {
    largest_over_mean: f64,
    smallest_over_mean: f64,
    /// Keys of others that moved as well, of all keys.
    excess: f64,
    /// How much of the keys of the one that left the luckiest other got.
    most_inherited: f64,
}

fn departure(table: impl Table) -> Departure {
    const GONE: usize = 41;
    let picker = keyed(table, None);
    let all = set(&[1; BACKENDS]);
    let mut rest = all.clone();
    rest.remove(GONE);
    let (before, after) = (prepared(&picker, &all), prepared(&picker, &rest));
    let (mut counts, mut heirs) = ([0_u32; BACKENDS], [0_u32; BACKENDS]);
    let mut excess = 0;
    for key in (0..KEYS).map(key) {
        let from = pick(&before, &all, &key).unwrap();
        let to = pick(&after, &rest, &key).unwrap();
        let to = to + usize::from(to >= GONE);
        counts[from] += 1;
        if from == GONE {
            heirs[to] += 1;
        } else if from != to {
            excess += 1;
        }
    }
    let mean = f64::from(KEYS) / BACKENDS as f64;
    let most = |counts: &[u32]| f64::from(*counts.iter().max().unwrap());
    Departure {
        largest_over_mean: most(&counts) / mean,
        smallest_over_mean: f64::from(*counts.iter().min().unwrap()) / mean,
        excess: f64::from(excess) / f64::from(KEYS),
        most_inherited: most(&heirs) / f64::from(counts[GONE]),
    }
}

#[test]
fn maglev_gives_each_of_a_hundred_the_same_to_four_per_cent_and_moves_one_per_cent_more() {
    let seen = departure(Maglev::new());
    assert!(seen.largest_over_mean <= 1.04, "{}", seen.largest_over_mean);
    assert!(
        seen.smallest_over_mean >= 0.96,
        "{}",
        seen.smallest_over_mean
    );
    assert!(seen.excess <= 0.01, "{}", seen.excess);
    assert!(seen.most_inherited <= 0.03, "{}", seen.most_inherited);
}

#[test]
fn ring_hash_gives_none_of_a_hundred_a_quarter_too_much_and_moves_no_other_key() {
    let seen = departure(RingHash::new());
    assert!(seen.largest_over_mean <= 1.25, "{}", seen.largest_over_mean);
    assert!(
        seen.smallest_over_mean >= 0.75,
        "{}",
        seen.smallest_over_mean
    );
    assert!(seen.excess == 0.0, "{}", seen.excess);
    assert!(seen.most_inherited <= 0.06, "{}", seen.most_inherited);
}

#[test]
fn rendezvous_gives_each_of_a_hundred_the_same_to_four_per_cent_and_moves_no_other_key() {
    let seen = departure(Rendezvous::new());
    assert!(seen.largest_over_mean <= 1.04, "{}", seen.largest_over_mean);
    assert!(
        seen.smallest_over_mean >= 0.96,
        "{}",
        seen.smallest_over_mean
    );
    assert!(seen.excess == 0.0, "{}", seen.excess);
    assert!(seen.most_inherited <= 0.0165, "{}", seen.most_inherited);
}

#[test]
fn every_table_gives_a_heavier_backend_more_keys_in_proportion() {
    const WEIGHTS: [u32; 6] = [1, 2, 3, 4, 10, 0];
    let keys = keys(20_000);
    for &algorithm in HashAlgorithm::ALL {
        let selector = Selector::new(pool(&WEIGHTS), keyed(algorithm, None));
        let counts = counts(&places(&selector, &keys), WEIGHTS.len());
        for (&count, weight) in counts.iter().zip(WEIGHTS) {
            let share = count as f64 * 20.0 / keys.len() as f64;
            let off = (share - f64::from(weight)).abs();
            // Rings of 160 points for a weight have a standard deviation of 8 %.
            assert!(off <= 0.4 * f64::from(weight), "{algorithm}: {counts:?}");
        }
    }
}

#[test]
fn a_table_of_slots_has_none_for_a_share_of_less_than_half_a_slot() {
    for (weights, expected) in [
        ([1, 100], 0.0),
        ([1, 8], 1.0),
        ([2, 3], 4.0),
        ([100, 1], 11.0),
    ] {
        let table = keyed(Maglev::with_size(11).unwrap(), None);
        let selector = Selector::new(pool(&weights), table);
        let counts = counts(&places(&selector, &keys(11_000)), 2);
        let slots = counts[0] as f64 / 1_000.0;
        assert!((slots - expected).abs() < 0.3, "{weights:?}: {slots}");
    }
}

#[test]
fn libketama_takes_no_notice_of_servers_without_weight() {
    let with = Selector::new(
        pool(&[1, 0, 2, 0, 3]),
        keyed(HashAlgorithm::Libketama, None),
    );
    let all = pool(&[1, 1, 2, 1, 3]);
    all.remove(&id(1));
    all.remove(&id(3));
    let without = Selector::new(all, keyed(HashAlgorithm::Libketama, None));
    let keys = keys(1_000);
    assert_eq!(places(&with, &keys), places(&without, &keys));
}

fn weights() -> impl Strategy<Value = Vec<u32>> {
    let weight = prop_oneof![1 => Just(0), 4 => Just(1), 4 => 1u32..20];
    let some = prop::collection::vec(weight, 2..12);
    some.prop_filter("one has a weight", |weights| {
        weights.iter().any(|&weight| weight > 0)
    })
}

proptest! {
    #![proptest_config(cases(24))]

    /// What is left to chance: which backend has the highest score; where on the ring points are;
    /// and of the other two only what keys they get.
    #[test]
    fn shares_are_in_proportion_to_weights(weights in weights(), first_key: u32) {
        const KEYS: usize = 8_000;
        let all: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        let keys: Vec<_> = (0..KEYS as u32).map(|at| key(first_key.wrapping_add(at))).collect();
        for algorithm in [
            HashAlgorithm::Rendezvous,
            HashAlgorithm::RingHash,
            HashAlgorithm::Maglev,
            HashAlgorithm::Modulo,
        ] {
            let selector = Selector::new(pool(&weights), small(algorithm, None));
            let counts = counts(&places(&selector, &keys), weights.len());
            for (&count, &weight) in counts.iter().zip(&weights) {
                let share = f64::from(weight) / all;
                let table = match algorithm {
                    // The deviation of a share of random points, of which there are 320 each.
                    HashAlgorithm::RingHash => 6.0 * (share * (1.0 - share) / (320.0 * all)).sqrt(),
                    // A slot more or less, of 1,021.
                    HashAlgorithm::Maglev => 1.0 / 1_021.0,
                    _ => 0.0,
                };
                let off = (count as f64 - share * KEYS as f64).abs();
                let most = chance(KEYS, share) + table * KEYS as f64;
                let close = if weight == 0 { count == 0 } else { off <= most };
                prop_assert!(close, "{algorithm}: {counts:?} for {weights:?}");
            }
        }
    }

    #[test]
    fn rendezvous_and_modulo_divide_keys_by_weights_however_large(
        weights in prop::collection::vec(1u32.., 2..10), first_key: u32,
    ) {
        const KEYS: usize = 8_000;
        let all: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        let keys: Vec<_> = (0..KEYS as u32).map(|at| key(first_key.wrapping_add(at))).collect();
        for algorithm in [HashAlgorithm::Rendezvous, HashAlgorithm::Modulo] {
            let selector = Selector::new(pool(&weights), small(algorithm, None));
            let counts = counts(&places(&selector, &keys), weights.len());
            for (&count, &weight) in counts.iter().zip(&weights) {
                let share = f64::from(weight) / all;
                let off = (count as f64 - share * KEYS as f64).abs();
                prop_assert!(off <= chance(KEYS, share), "{algorithm}: {counts:?} for {weights:?}");
            }
        }
    }
}
