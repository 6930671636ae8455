//! What a change of the pool moves: the keys of the backend that it changes, and no others.

use evenkeel::backend::State;
use evenkeel::picker::Selector;
use evenkeel::picker::hash::{
    EnvoyMaglev, EnvoyRingHash, HashAlgorithm, Libketama, Maglev, Modulo, NginxConsistent,
    NginxHash, NginxIpHash, Rendezvous, RingHash,
};
use evenkeel::{Backend, Pool};
use proptest::prelude::*;

use crate::setup::{
    STEADY, TextPicker, UNORDERED, backend, cases, id, keyed, keys, pick, places, pool, prepared,
    set, small,
};

const IDS: usize = 8;

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, u32),
    Remove(usize),
    Weight(usize, u32),
    Drain(usize),
    Undrain(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let id = || 1..IDS;
    let weight = || prop_oneof![Just(0), 1u32..6];
    let step = prop_oneof![
        3 => (id(), weight()).prop_map(|(id, weight)| Step::Insert(id, weight)),
        2 => id().prop_map(Step::Remove),
        3 => (id(), weight()).prop_map(|(id, weight)| Step::Weight(id, weight)),
        2 => id().prop_map(Step::Drain),
        2 => id().prop_map(Step::Undrain),
    ];
    prop::collection::vec(step, 1..25)
}

impl Step {
    fn take(&self, pool: &Pool<usize>) -> bool {
        match *self {
            Self::Insert(at, weight) => pool.insert(backend(at, weight)),
            Self::Remove(at) => pool.remove(&id(at)),
            Self::Weight(at, weight) => pool.set_weight(&id(at), weight),
            Self::Drain(at) => pool.drain(&id(at)),
            Self::Undrain(at) => pool.undrain(&id(at)),
        }
    }

    fn backend(&self) -> usize {
        match *self {
            Self::Insert(at, _)
            | Self::Remove(at)
            | Self::Weight(at, _)
            | Self::Drain(at)
            | Self::Undrain(at) => at,
        }
    }

    /// Whether tables stay as they are, so that this holds for all of them.
    fn keeps_tables(&self) -> bool {
        matches!(self, Self::Drain(_) | Self::Undrain(_))
    }
}

/// The weight that a backend has for new requests.
fn usable(pool: &Pool<usize>, at: usize) -> u32 {
    let info = pool.get(&id(at));
    let eligible = info.filter(|info| info.state() == State::Healthy);
    eligible.map_or(0, |info| info.weight())
}

proptest! {
    #![proptest_config(cases(32))]

    #[test]
    fn a_key_moves_only_from_a_backend_that_gets_less_or_to_one_that_gets_more(steps in steps()) {
        let keys = keys(120);
        // The first is always there.
        let pool = pool(&[2]);
        let tables = HashAlgorithm::ALL.iter().map(|&algorithm| {
            let selector = Selector::new(pool.clone(), small(algorithm, None));
            let places = places(&selector, &keys);
            (algorithm, selector, places)
        });
        let mut tables: Vec<_> = tables.collect();
        for step in &steps {
            let at = step.backend();
            let before = usable(&pool, at);
            step.take(&pool);
            let after = usable(&pool, at);
            for (algorithm, selector, old) in &mut tables {
                let new = places(selector, &keys);
                for (&from, &to) in old.iter().zip(&new) {
                    let may = from == to || after < before && from == at || before < after && to == at;
                    let promised = step.keeps_tables() || STEADY.contains(algorithm);
                    prop_assert!(may || !promised, "{algorithm}: {from} to {to} on {step:?}");
                }
                *old = new;
            }
        }
    }

    #[test]
    fn the_order_of_the_members_makes_no_difference(
        order in Just((0..IDS).collect::<Vec<_>>()).prop_shuffle(),
        weights in prop::collection::vec(0u32..6, IDS),
    ) {
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let keys = keys(300);
        let shuffled: Pool<_> = order.iter().map(|&at| backend(at, weights[at])).collect();
        for algorithm in UNORDERED {
            let place = |pool: &Pool<usize>| {
                places(&Selector::new(pool.clone(), small(algorithm, None)), &keys)
            };
            prop_assert_eq!(place(&pool(&weights)), place(&shuffled), "{}", algorithm);
        }
    }
}

#[test]
fn a_backend_that_comes_back_has_the_keys_that_it_had() {
    let keys = keys(500);
    for algorithm in UNORDERED {
        let pool = pool(&[1, 2, 3, 1]);
        let selector = Selector::new(pool.clone(), small(algorithm, None));
        let before = places(&selector, &keys);
        pool.remove(&id(1));
        assert!(!places(&selector, &keys).contains(&1), "{algorithm}");
        pool.insert(backend(1, 2));
        assert_eq!(places(&selector, &keys), before, "{algorithm}");
    }
}

#[test]
fn a_machine_that_replaces_another_inherits_its_keys() {
    let keys = keys(500);
    for &algorithm in HashAlgorithm::ALL {
        let pool = pool(&[1, 2, 1, 3]);
        let selector = Selector::new(pool.clone(), small(algorithm, None));
        let before = places(&selector, &keys);
        let [a, c, d] = [(0, 1), (2, 1), (3, 3)].map(|(at, weight)| backend(at, weight));
        let replacement = Backend::new("a new machine", 1);
        pool.replace_all([a, replacement.weight(2).hash_key(id(1)), c, d]);
        assert_eq!(pool.list()[1].id(), "a new machine");
        assert_eq!(places(&selector, &keys), before, "{algorithm}");
    }
}

#[test]
fn of_two_with_the_same_hash_key_the_second_has_keys_only_while_the_first_is_out() {
    let keys = keys(500);
    for &algorithm in HashAlgorithm::ALL {
        let alone = pool(&[1, 2, 1]);
        let alone = places(&Selector::new(alone, small(algorithm, None)), &keys);
        let taken_over: Vec<_> = alone
            .iter()
            .map(|&at| if at == 1 { 3 } else { at })
            .collect();

        let pool = pool(&[1, 2, 1]);
        pool.insert(backend(3, 2).hash_key(id(1)));
        let selector = Selector::new(pool.clone(), small(algorithm, None));
        assert_eq!(places(&selector, &keys), alone, "{algorithm}");
        pool.drain(&id(1));
        assert_eq!(places(&selector, &keys), taken_over, "{algorithm}");
        pool.undrain(&id(1));
        assert_eq!(places(&selector, &keys), alone, "{algorithm}");
        // Both are out: others have their keys.
        pool.drain(&id(1));
        pool.drain(&id(3));
        for (now, &before) in places(&selector, &keys).into_iter().zip(&alone) {
            assert!(now == before || before == 1 && now != 3, "{algorithm}");
        }
    }
}

#[test]
fn of_two_with_the_same_hash_key_the_second_takes_over_when_the_first_leaves_or_has_no_weight() {
    let keys = keys(500);
    let out: [fn(&Pool<usize>); 2] = [
        |pool| assert!(pool.remove(&id(1))),
        |pool| assert!(pool.set_weight(&id(1), 0)),
    ];
    for algorithm in UNORDERED {
        for out in out {
            let pool = pool(&[1, 2, 1]);
            pool.insert(backend(3, 2).hash_key(id(1)));
            let selector = Selector::new(pool.clone(), small(algorithm, None));
            let before = places(&selector, &keys);
            out(&pool);
            for (now, before) in places(&selector, &keys).into_iter().zip(before) {
                assert_eq!(now, if before == 1 { 3 } else { before }, "{algorithm}");
            }
        }
    }
}

#[test]
fn a_table_is_as_good_whichever_way_its_picker_was_chosen() {
    let typed: [(&str, TextPicker); 10] = [
        ("maglev", keyed(Maglev::new(), None)),
        ("ring-hash", keyed(RingHash::new(), None)),
        ("rendezvous", keyed(Rendezvous::new(), None)),
        ("modulo", keyed(Modulo::new(), None)),
        ("nginx-hash", keyed(NginxHash::new(), None)),
        ("nginx-consistent", keyed(NginxConsistent::new(), None)),
        ("nginx-ip-hash", keyed(NginxIpHash::new(), None)),
        ("libketama", keyed(Libketama::new(), None)),
        ("envoy-ring-hash", keyed(EnvoyRingHash::new(), None)),
        ("envoy-maglev", keyed(EnvoyMaglev::new(), None)),
    ];
    assert_eq!(typed.len(), HashAlgorithm::ALL.len());
    let set = set(&[1, 2, 3]);
    for (name, typed) in typed {
        let algorithm: HashAlgorithm = name.parse().expect(name);
        let (named, typed) = (
            prepared(&keyed(algorithm, None), &set),
            prepared(&typed, &set),
        );
        for key in keys(200) {
            assert_eq!(pick(&named, &set, &key), pick(&typed, &set, &key), "{name}");
        }
    }
}
