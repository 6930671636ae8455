//! Backends that are out are stepped over: someone is always found, their keys are divided over all
//! others, and no other key moves.

use evenkeel::picker::Selector;
use evenkeel::picker::hash::{EnvoyMaglev, HashAlgorithm};
use evenkeel::set::Masked;
use evenkeel::{BackendSet, Pool};
use proptest::prelude::*;
use proptest::sample::Index;
use xxhash_rust::xxh64::xxh64;

use crate::setup::{
    Member, backend, cases, chance, counts, id, keyed, keys, pick, places, pool, prepared, set,
    small,
};

fn drain_all_but(pool: &Pool<usize>, left: &[usize]) {
    pool.edit(|edit| {
        for at in (0..pool.len()).filter(|at| !left.contains(at)) {
            edit.drain(&id(at));
        }
    });
}

#[test]
fn the_last_of_a_thousand_is_found_by_every_key() {
    let keys = keys(300);
    for &algorithm in HashAlgorithm::ALL {
        let pool = pool(&[1; 1_000]);
        let selector = Selector::new(pool.clone(), keyed(algorithm, None));
        drain_all_but(&pool, &[617]);
        assert!(
            places(&selector, &keys).iter().all(|&at| at == 617),
            "{algorithm}"
        );
    }
}

#[test]
fn the_last_two_of_a_thousand_share_the_keys_and_each_key_knows_its_own() {
    let keys = keys(1_000);
    for &algorithm in HashAlgorithm::ALL {
        let pool = pool(&[1; 1_000]);
        let selector = Selector::new(pool.clone(), keyed(algorithm, None));
        let healthy = places(&selector, &keys);
        drain_all_but(&pool, &[150, 617]);
        let two = places(&selector, &keys);
        let first = two.iter().filter(|&&at| at == 150).count();
        assert!((350..=650).contains(&first), "{algorithm}: {first}");
        assert!(two.iter().all(|at| [150, 617].contains(at)), "{algorithm}");
        for (now, before) in two.iter().zip(&healthy) {
            assert!(![150, 617].contains(before) || now == before, "{algorithm}");
        }
        assert_eq!(places(&selector, &keys), two, "{algorithm}");
        pool.edit(|edit| (0..1_000).for_each(|at| edit.undrain(&id(at))));
        assert_eq!(places(&selector, &keys), healthy, "{algorithm}");
    }
}

#[test]
fn the_keys_of_a_drained_backend_are_divided_over_all_the_others_by_weight() {
    const WEIGHTS: [u32; 10] = [1, 2, 3, 1, 8, 2, 1, 3, 2, 1];
    const OUT: usize = 4;
    let keys = keys(40_000);
    for &algorithm in HashAlgorithm::ALL {
        let pool = pool(&WEIGHTS);
        let selector = Selector::new(pool.clone(), keyed(algorithm, None));
        let before = places(&selector, &keys);
        pool.drain(&id(OUT));
        let after = places(&selector, &keys).into_iter().zip(&before);
        let moved = after.filter(|&(_, &before)| before == OUT);
        let heirs: Vec<_> = moved.map(|(now, _)| now).collect();
        for (at, count) in counts(&heirs, WEIGHTS.len()).into_iter().enumerate() {
            let share = if at == OUT {
                0.0
            } else {
                f64::from(WEIGHTS[at]) / 16.0
            };
            let (count, fair) = (count as f64, share * heirs.len() as f64);
            let close = match algorithm {
                // Their tables are even, but for a slot of 65,537.
                HashAlgorithm::Maglev | HashAlgorithm::Rendezvous | HashAlgorithm::Modulo => {
                    (count - fair).abs() <= chance(heirs.len(), share)
                }
                // The hash of a try is that of the key with some bits turned over, always the same.
                HashAlgorithm::NginxHash => (0.2 * fair..=3.5 * fair).contains(&count),
                // Who is next on a ring: the arcs of about a hundred points for each weight.
                _ => (0.5 * fair..=1.6 * fair).contains(&count),
            };
            assert!(close, "{algorithm}: {count} for {fair} at {at}");
        }
    }
}

/// All backends, in the order in which a key chooses them.
fn choices(algorithm: HashAlgorithm, set: &dyn BackendSet, key: &str) -> Vec<usize> {
    let picker = prepared(&small(algorithm, None), set);
    let mut masked = Masked::new(set);
    let next = |_| {
        let rank = pick(&picker, &masked, key)?;
        let choice = masked.unmasked(rank);
        masked.mask(rank);
        Some(choice)
    };
    (0..=set.len()).map_while(next).collect()
}

#[test]
fn each_retry_goes_to_the_next_choice_of_the_key_until_all_were_tried() {
    let set = set(&[1, 2, 1, 0, 5, 1, 1, 3, 1, 1, 1, 1]);
    for &algorithm in HashAlgorithm::ALL {
        let mut second = Vec::new();
        for key in keys(60) {
            let choices = choices(algorithm, &set, &key);
            let mut tried = choices.clone();
            tried.sort_unstable();
            assert_eq!(tried, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11], "{algorithm}");
            second.extend((choices[0] == 4).then_some(choices[1]));
        }
        // Not the same one for all keys of one backend.
        second.sort_unstable();
        second.dedup();
        assert!(second.len() > 2, "{algorithm}: {second:?}");
    }
}

#[test]
fn envoy_maglev_goes_on_from_slot_to_slot_as_the_attempts_of_envoy_do() {
    const SIZE: u64 = 31;
    let set = set(&[1, 2, 1, 3, 1, 2, 1]);
    let table = prepared(&keyed(EnvoyMaglev::with_size(31).unwrap(), None), &set);
    let hash = |key: &String| xxh64(key.as_bytes(), 0);
    let keys = keys(1_000);
    let mut owners = [None; SIZE as usize];
    for key in &keys {
        owners[(hash(key) % SIZE) as usize] = pick(&table, &set, key);
    }
    let mut left = Masked::new(&set);
    for out in [3, 1, 0, 5] {
        left.mask_original(out);
        for key in &keys {
            let attempts = (0..64_u64).map(|attempt| hash(key) ^ attempt.wrapping_neg());
            let mut owners = attempts.filter_map(|hash| owners[(hash % SIZE) as usize]);
            let expected = owners.find(|&owner| left.rank_of(owner).is_some());
            let picked = pick(&table, &left, key).map(|rank| left.unmasked(rank));
            assert!(expected.is_none() || picked == expected, "{key}");
        }
    }
}

proptest! {
    #![proptest_config(cases(48))]

    /// As a retry does, and as a table that was built for all members does.
    #[test]
    fn with_any_part_out_the_rest_keep_their_keys_and_nobody_else_is_picked(
        weights in prop::collection::vec(0u32..4, 1..14),
        out in prop::collection::vec(any::<Index>(), 0..14),
    ) {
        let set = set(&weights);
        let mut masked = Masked::new(&set);
        let mut usable: Vec<_> = weights.iter().map(|&weight| weight > 0).collect();
        for out in &out {
            masked.mask_original(out.index(weights.len()));
            usable[out.index(weights.len())] = false;
        }
        for &algorithm in HashAlgorithm::ALL {
            let picker = prepared(&small(algorithm, None), &set);
            for key in keys(20) {
                let own = pick(&picker, &set, &key);
                match pick(&picker, &masked, &key).map(|rank| masked.unmasked(rank)) {
                    Some(at) => prop_assert!(usable[at], "{algorithm}: {at}"),
                    None => prop_assert!(!usable.contains(&true), "{algorithm}: none"),
                }
                if let Some(own) = own.filter(|&own| usable[own]) {
                    let now = pick(&picker, &masked, &key).map(|rank| masked.unmasked(rank));
                    prop_assert_eq!(now, Some(own), "{}", algorithm);
                }
            }
        }
    }

    #[test]
    fn a_key_is_placed_alike_in_a_slice_and_in_a_pool_prepared_or_not(
        weights in prop::collection::vec(0u32..4, 1..10),
        out in prop::collection::vec(any::<Index>(), 0..5),
    ) {
        let out: Vec<_> = out.iter().map(|out| out.index(weights.len())).collect();
        let members: Vec<_> = weights.iter().enumerate().map(|(at, &weight)| {
            Member { id: id(at), weight, in_flight: 0 }
        }).collect();
        let slice = &members[..];
        // In the pool, slots are no ranks: others were there first.
        let pool = Pool::new();
        for other in 100..106 {
            pool.insert(backend(other, 1));
        }
        for (at, &weight) in weights.iter().enumerate() {
            pool.remove(&id(100 + at * 5 % 6));
            pool.insert(backend(at, weight));
        }
        pool.edit(|edit| {
            (100..106).for_each(|other| edit.remove(&id(other)));
            for &at in &out {
                edit.drain(&id(at));
            }
        });

        let mut masked = Masked::new(&slice);
        for &at in &out {
            masked.mask_original(at);
        }
        for &algorithm in HashAlgorithm::ALL {
            let picker = small(algorithm, None);
            let table = prepared(&picker, &slice);
            let selector = Selector::new(pool.clone(), picker.clone());
            for key in keys(20) {
                let expected = pick(&table, &masked, &key).map(|rank| masked.unmasked(rank));
                let in_pool = selector.select(&key).ok().map(|(at, _at_once_over)| at);
                prop_assert_eq!(in_pool, expected, "{}", algorithm);
                if algorithm == HashAlgorithm::Rendezvous {
                    // There, to be out is the same as not to be there.
                    let of_the_rest = pick(&picker, &masked, &key);
                    let of_the_rest = of_the_rest.map(|rank| masked.unmasked(rank));
                    prop_assert_eq!(of_the_rest, expected);
                }
                let own = pick(&table, &slice, &key);
                prop_assert_eq!(pick(&picker, &slice, &key), own, "{}", algorithm);
                prop_assert_eq!(pick(&picker, &members, &key), own, "{}", algorithm);
            }
        }
    }
}
