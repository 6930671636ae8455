//! What every picker promises, whatever the set: no panic, nothing picked that must not be, shares
//! that follow the weights, and the share of a backend that is out spread over all the others.
//!
//! Chance comes from proptest, which prints what it chose, the seed of the picks included, for a
//! test that fails.

#[cfg(feature = "tower")]
mod in_a_pool;
mod load;
mod reports;
mod shares;

use std::sync::Arc;
use std::time::Duration;

use evenkeel::picker::{Algorithm, Context, Update};
use evenkeel::set::{Candidate, Masked};
use evenkeel::{BackendSet, Picker};
use proptest::prelude::*;
use proptest::sample::Index;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

/// A picker whose start comes from the seed too.
fn picker(
    algorithm: Algorithm,
    seed: u64,
    prepared_for: Option<&dyn BackendSet>,
) -> Arc<dyn Picker<()>> {
    fastrand::seed(seed);
    let picker = algorithm.picker();
    let prepared = prepared_for.and_then(|set| picker.prepare(&Update::new(set, set)));
    prepared.unwrap_or(picker)
}

/// A context for each pick, all from one seed. Their own seeds are drawn: generators whose seeds
/// differ by 1 only begin too much alike for statistics.
fn contexts(seed: u64) -> impl Iterator<Item = Context> {
    let mut seeds = fastrand::Rng::with_seed(seed);
    std::iter::repeat_with(move || Context::new().seed(seeds.u64(..)))
}

fn context(seed: u64) -> Context {
    contexts(seed).next().expect("there are any number")
}

#[derive(Clone, Debug, PartialEq)]
struct Member {
    id: &'static str,
    weight: u32,
    in_flight: usize,
    latency: Option<Duration>,
}

impl Candidate for Member {
    fn id(&self) -> &str {
        self.id
    }

    fn weight(&self) -> u32 {
        self.weight
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn latency(&self) -> Option<Duration> {
        self.latency
    }
}

fn weight() -> impl Strategy<Value = u32> {
    prop_oneof![2 => Just(0), 2 => Just(1), 2 => 1u32..10, 1 => Just(u32::MAX), 1 => any::<u32>()]
}

/// Any set: ids stand twice, loads and latencies go to their limits.
fn members() -> impl Strategy<Value = Vec<Member>> {
    let load = prop_oneof![3 => 0usize..4, 1 => Just(usize::MAX), 1 => any::<usize>()];
    let latency = prop_oneof![
        Just(None),
        Just(Some(Duration::MAX)),
        (0u64..1000).prop_map(|ms| Some(Duration::from_millis(ms)))
    ];
    let id = prop::sample::select(vec!["", "a", "b", "c"]);
    let member =
        (id, weight(), load, latency).prop_map(|(id, weight, in_flight, latency)| Member {
            id,
            weight,
            in_flight,
            latency,
        });
    let set = prop::collection::vec(member, 0..40);
    (set, any::<bool>()).prop_map(|(mut set, all_alike)| {
        if let (Some(first), true) = (set.first().cloned(), all_alike) {
            set.fill(first);
        }
        set
    })
}

/// Asserts that every algorithm picks one of the backends of a weight above 0 that are not masked,
/// and none only when there are none.
fn assert_picks_what_is_left(
    set: &[Member],
    out: &[Index],
    attempt: u32,
    prepared: bool,
    seed: u64,
) {
    let mut masked = Masked::new(&set);
    let mut usable: Vec<bool> = set.iter().map(|member| member.weight > 0).collect();
    for out in out.iter().filter(|_| !set.is_empty()) {
        masked.mask_original(out.index(set.len()));
        usable[out.index(set.len())] = false;
    }
    for &algorithm in Algorithm::ALL {
        let set: &dyn BackendSet = &set;
        let picker = picker(algorithm, seed, prepared.then_some(set));
        for cx in contexts(seed).take(30) {
            let mut cx = cx.with_attempt(attempt);
            match picker.pick(&masked, &(), &mut cx) {
                Some(rank) => {
                    assert!(rank < masked.len(), "{algorithm} picked rank {rank}");
                    assert!(
                        usable[masked.unmasked(rank)],
                        "{algorithm} picked {}",
                        masked.unmasked(rank)
                    );
                }
                None => assert!(!usable.contains(&true), "{algorithm} picked none"),
            }
        }
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn no_set_makes_a_picker_panic_or_pick_a_backend_of_weight_0(
        set in members(), attempt in 0u32..3, prepared: bool, seed: u64,
    ) {
        assert_picks_what_is_left(&set, &[], attempt, prepared, seed);
    }

    #[test]
    fn a_masked_backend_is_never_picked(
        set in members(), out in prop::collection::vec(any::<Index>(), 1..60),
        attempt in 0u32..3, prepared: bool, seed: u64,
    ) {
        assert_picks_what_is_left(&set, &out, attempt, prepared, seed);
    }

    #[test]
    fn a_table_of_another_set_never_leads_out_of_this_one(
        old in members(), set in members(), seed: u64,
    ) {
        for &algorithm in Algorithm::ALL {
            let picker = picker(algorithm, seed, Some(&old));
            for mut cx in contexts(seed).take(30) {
                let rank = picker.pick(&set, &(), &mut cx);
                let in_range = rank.is_none_or(|rank| rank < set.len());
                prop_assert!(in_range, "{} picked {:?}", algorithm, rank);
            }
        }
    }
}

#[test]
fn ten_thousand_backends_of_any_weights_are_no_problem() {
    const N: usize = 10_000;
    let one_giant = |at| if at == N / 2 { u32::MAX } else { 1 };
    let one_left = |at| u32::from(at == N - 1);
    let mixed = |at| [0, 1, 7, 1 << 20, u32::MAX][at % 5];
    let weights: [&dyn Fn(usize) -> u32; 6] =
        [&|_| 0, &|_| 1, &|_| u32::MAX, &one_giant, &one_left, &mixed];
    for weight in weights {
        let set: Vec<(&str, u32)> = (0..N).map(|at| ("twin", weight(at))).collect();
        let all_zero = set.iter().all(|&(_, weight)| weight == 0);
        for (&algorithm, prepared) in Algorithm::ALL.iter().flat_map(|a| [(a, false), (a, true)]) {
            let set: &dyn BackendSet = &set;
            let picker = picker(algorithm, 0, prepared.then_some(set));
            for mut cx in contexts(0).take(10) {
                let rank = picker.pick(set, &(), &mut cx);
                assert_eq!(rank.is_none(), all_zero, "{algorithm}");
                assert!(rank.is_none_or(|rank| set.weight(rank) > 0), "{algorithm}");
            }
        }
    }
}

/// The least that a set of one's own needs, and nothing in it.
struct Nothing;

impl BackendSet for Nothing {
    fn len(&self) -> usize {
        0
    }

    fn id(&self, _rank: usize) -> &'static str {
        ""
    }
}

#[test]
fn an_empty_set_of_ones_own_gives_no_backend() {
    for &algorithm in Algorithm::ALL {
        for prepared_for in [None, Some(&Nothing as &dyn BackendSet), Some(&["a", "b"])] {
            let picker = picker(algorithm, 0, prepared_for);
            let rank = picker.pick(&Nothing, &(), &mut context(0));
            assert_eq!(rank, None, "{algorithm}");
        }
    }
}
