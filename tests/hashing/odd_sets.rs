//! Any set is taken: huge weights, no weights, nobody, more members than slots, twins, and tables
//! of other sets.

use evenkeel::picker::Selector;
use evenkeel::picker::hash::{
    EnvoyMaglev, EnvoyRingHash, HashAlgorithm, Maglev, NginxConsistent, RingHash,
};
use evenkeel::set::Masked;
use evenkeel::{BackendSet, Pool};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::setup::{Member, cases, id, key, keyed, keys, pick, pool, prepared, set, small};

#[test]
fn huge_weights_take_no_more_memory_than_a_large_table() {
    for weights in [vec![1, u32::MAX, 0], vec![u32::MAX; 1_000]] {
        let set = set(&weights);
        for &algorithm in HashAlgorithm::ALL {
            let picker = small(algorithm, Some(1.25));
            let mut table = None;
            let memory = allocation_counter::measure(|| table = Some(prepared(&picker, &set)));
            assert!(memory.bytes_max < 500 << 20, "{algorithm}: {memory:?}");
            let table = table.unwrap();
            // Whoever has a weight is found, if all others are out.
            for left in (0..set.len()).filter(|&at| weights[at] > 0).take(2) {
                let mut masked = Masked::new(&set);
                (0..set.len())
                    .filter(|&at| at != left)
                    .for_each(|at| masked.mask_original(at));
                assert_eq!(pick(&table, &masked, &key(0)), Some(0), "{algorithm}");
            }
        }
    }
}

#[test]
fn a_backend_keeps_a_point_of_a_ring_however_heavy_another_is() {
    let mut weights = vec![1; 20_001];
    weights[7_000] = u32::MAX;
    let set = set(&weights);
    let ring = keyed(RingHash::with_points(1).unwrap(), None);
    for (ring, points) in [
        (ring, 1 << 21),
        (keyed(NginxConsistent::new(), None), 5 << 20),
    ] {
        let ring = prepared(&ring, &set);
        let keys = keys(4_000);
        let light = keys
            .iter()
            .filter(|key| pick(&ring, &set, key) != Some(7_000));
        let (light, expected) = (light.count(), 4_000 * 20_000 / points);
        assert!(
            light.abs_diff(expected) <= expected * 9 / 10,
            "{light} for {expected}"
        );
    }
}

#[test]
fn where_no_backend_has_a_weight_none_is_picked_and_a_selector_says_so() {
    for &algorithm in HashAlgorithm::ALL {
        for bound in [None, Some(1.25)] {
            let picker = small(algorithm, bound);
            let set = set(&[0, 0, 0]);
            for picker in [&picker, &prepared(&picker, &set)] {
                assert_eq!(pick(picker, &set, "key"), None, "{algorithm}");
            }
            let pool = pool(&[0, 0, 0]);
            let selector = Selector::new(pool.clone(), picker);
            assert!(selector.select("key").is_err(), "{algorithm}");
            pool.set_weight(&id(1), 1);
            assert_eq!(selector.select("key").unwrap().0, 1, "{algorithm}");
        }
    }
}

#[test]
fn a_set_without_anyone_is_no_reason_to_panic() {
    let nobody: [&str; 0] = [];
    for &algorithm in HashAlgorithm::ALL {
        for bound in [None, Some(1.0)] {
            let picker = small(algorithm, bound);
            for picker in [
                &picker,
                &prepared(&picker, &nobody),
                &prepared(&picker, &["a", "b"]),
            ] {
                assert_eq!(pick(picker, &nobody, "key"), None, "{algorithm}");
            }
            let selector = Selector::new(Pool::<usize>::new(), picker);
            assert!(selector.select("key").is_err(), "{algorithm}");
        }
    }
}

#[test]
fn members_for_whom_a_table_has_no_slot_are_found_when_the_others_are_out() {
    let set = set(&[1; 40]);
    let tables = [
        keyed(Maglev::with_size(7).unwrap(), None),
        keyed(Maglev::with_size(2).unwrap(), None),
        keyed(EnvoyMaglev::with_size(7).unwrap(), None),
        keyed(EnvoyMaglev::with_size(2).unwrap(), None),
        keyed(EnvoyRingHash::with_ring_size(1, 7).unwrap(), None),
    ];
    for (at, table) in tables.iter().enumerate() {
        let table = prepared(table, &set);
        let mut left = Masked::new(&set);
        while !left.is_empty() {
            let ranks: Vec<_> = keys(20)
                .iter()
                .map(|key| pick(&table, &left, key))
                .collect();
            let found = |rank: &Option<usize>| rank.is_some_and(|rank| rank < left.len());
            assert!(ranks.iter().all(found), "table {at} of {}", left.len());
            left.mask(ranks[0].unwrap());
        }
    }
}

/// Ids that stand twice, and counts at their limits.
fn members() -> impl Strategy<Value = Vec<Member>> {
    let weight = prop_oneof![2 => Just(0), 4 => 1u32..9];
    let in_flight = prop_oneof![4 => 0usize..4, 1 => Just(usize::MAX), 1 => any::<usize>()];
    let id = prop::sample::select(vec![
        "",
        "a",
        "b",
        "c",
        "d:1",
        "unix:/e",
        "10.0.0.1:80",
        "ä",
    ]);
    let member = (id, weight, in_flight).prop_map(|(id, weight, in_flight)| Member {
        id: id.to_owned(),
        weight,
        in_flight,
    });
    prop::collection::vec(member, 0..20)
}

fn usable(set: &dyn BackendSet) -> bool {
    (0..set.len()).any(|rank| set.weight(rank) > 0)
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn with_a_table_of_another_set_someone_of_this_one_is_picked(
        old in members(), set in members(), out in any::<Index>(), key in "\\PC{1,9}",
    ) {
        let mut masked = Masked::new(&set);
        masked.mask(out.index(set.len().max(1)));
        for &algorithm in HashAlgorithm::ALL {
            for bound in [None, Some(1.25)] {
                let table = prepared(&small(algorithm, bound), &old);
                for set in [&set as &dyn BackendSet, &masked] {
                    let rank = pick(&table, set, &key);
                    prop_assert!(rank.is_some() || !usable(set), "{algorithm}");
                    prop_assert!(rank.is_none_or(|rank| rank < set.len()), "{algorithm}");
                }
            }
        }
    }

    #[test]
    fn whatever_a_set_says_of_itself_only_what_has_a_weight_is_picked(
        set in members(), out in any::<Index>(), key in "\\PC{1,9}",
    ) {
        let mut masked = Masked::new(&set);
        masked.mask(out.index(set.len().max(1)));
        for &algorithm in HashAlgorithm::ALL {
            for bound in [None, Some(1.25)] {
                let picker = small(algorithm, bound);
                let table = prepared(&picker, &set);
                for (picker, set) in [
                    (&picker, &set as &dyn BackendSet),
                    (&table, &set),
                    (&picker, &masked),
                    (&table, &masked),
                ] {
                    let rank = pick(picker, set, &key);
                    prop_assert_eq!(rank.is_some(), usable(set), "{}", algorithm);
                    prop_assert!(rank.is_none_or(|rank| set.weight(rank) > 0), "{algorithm}");
                }
            }
        }
    }
}

#[test]
fn loads_weights_and_factors_at_their_limits_are_compared_all_the_same() {
    let member = |at, in_flight| Member {
        id: id(at),
        weight: u32::MAX,
        in_flight,
    };
    let set: Vec<_> = (0..3).map(|at| member(at, usize::MAX - at)).collect();
    for algorithm in [HashAlgorithm::Rendezvous, HashAlgorithm::Modulo] {
        for factor in [1.0, 1e6] {
            let picker = prepared(&small(algorithm, Some(factor)), &set);
            let mut masked = Masked::new(&set);
            for left in [3, 2, 1] {
                assert_eq!(masked.len(), left);
                assert!(
                    pick(&picker, &masked, "key").is_some(),
                    "{algorithm} {factor}"
                );
                masked.mask(0);
            }
        }
    }
}
