//! Bounded loads: no assignment takes a backend above its bound, what does not fit has a home as
//! well, and no key is enough to overload a backend.

use std::sync::Barrier;
use std::thread;

use evenkeel::BackendSet;
use evenkeel::backend::{BackendInfo, Completion, Outcome, State};
use evenkeel::picker::Selector;
use evenkeel::picker::hash::HashAlgorithm;
use evenkeel::set::Masked;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::setup::{
    Member, TextPicker, cases, id, key, keys, pick, places, pool, prepared, set, small,
};

/// Factors in millionths, so that ⌈c × (total + 1) × w / W⌉ is computed without rounding.
fn factor() -> impl Strategy<Value = u32> {
    prop_oneof![2 => Just(1_000_000), 2 => Just(1_250_000), 3 => 1_000_000u32..3_000_000]
}

fn bounded(algorithm: HashAlgorithm, millionths: u32) -> TextPicker {
    small(algorithm, Some(f64::from(millionths) / 1e6))
}

/// ⌈c × total × w / W⌉
fn bound(millionths: u32, total: usize, weight: u32, all: u64) -> usize {
    let share = u128::from(millionths) * total as u128 * u128::from(weight);
    share.div_ceil(1_000_000 * u128::from(all)) as usize
}

#[derive(Clone, Debug)]
enum Step {
    /// One of few keys, so that some are hot.
    Start(u32),
    End(Index),
    Drain(Index),
    Undrain(Index),
    Weight(Index, u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => (0u32..6).prop_map(Step::Start),
        9 => any::<Index>().prop_map(Step::End),
        1 => any::<Index>().prop_map(Step::Drain),
        1 => any::<Index>().prop_map(Step::Undrain),
        1 => (any::<Index>(), 0u32..5).prop_map(|(at, weight)| Step::Weight(at, weight)),
    ];
    prop::collection::vec(step, 1..120)
}

/// Asserts that a request takes no backend above its bound, and leaves its own only if there is no
/// room.
fn start(
    bounded: &Selector<usize, str>,
    unbounded: &Selector<usize, str>,
    millionths: u32,
    key: &str,
) -> Option<Completion> {
    let own = unbounded.select(key).ok()?.1.backend().to_owned();
    let before = bounded.pool().list();
    let eligible = || before.iter().filter(|info| info.state() == State::Healthy);
    let total: usize = eligible().map(BackendInfo::in_flight).sum();
    let all: u64 = eligible().map(|info| u64::from(info.weight())).sum();
    let has_room = |id: &str| {
        let info = eligible()
            .find(|info| info.id() == id)
            .expect("it is eligible");
        info.in_flight() < bound(millionths, total + 1, info.weight(), all)
    };
    let (_, picked) = bounded.select(key).expect("one is eligible");
    assert!(
        has_room(picked.backend()),
        "{} of {before:?}",
        picked.backend()
    );
    assert!(
        picked.backend() == own || !has_room(&own),
        "not at {own}: {before:?}"
    );
    Some(picked)
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn no_assignment_takes_a_backend_above_its_bound_and_none_leaves_home_without_need(
        weights in prop::collection::vec(prop_oneof![3 => Just(1), 2 => 0u32..6], 1..8),
        millionths in factor(),
        steps in steps(),
    ) {
        for &algorithm in HashAlgorithm::ALL {
            let pool = pool(&weights);
            let selector = Selector::new(pool.clone(), bounded(algorithm, millionths));
            let unbounded = Selector::new(pool.clone(), small(algorithm, None));
            let mut running = Vec::new();
            for step in &steps {
                let id_at = |at: &Index| id(at.index(weights.len()));
                match step {
                    Step::Start(number) => {
                        running.extend(start(&selector, &unbounded, millionths, &key(*number)));
                    }
                    Step::End(at) if !running.is_empty() => {
                        let ended: Completion = running.swap_remove(at.index(running.len()));
                        ended.finish(Outcome::Success);
                    }
                    Step::End(_) => {}
                    Step::Drain(at) => assert!(pool.drain(&id_at(at))),
                    Step::Undrain(at) => assert!(pool.undrain(&id_at(at))),
                    Step::Weight(at, weight) => assert!(pool.set_weight(&id_at(at), *weight)),
                }
            }
        }
    }

    /// With any loads, and with some backends tried already. So the same key overflows to the same
    /// backend, and that is the one that has it while its own is out.
    #[test]
    fn a_request_goes_where_it_would_go_if_all_that_are_full_were_out(
        members in prop::collection::vec((1u32..5, 0usize..9), 1..9),
        tried in prop::collection::vec(any::<Index>(), 0..4),
        millionths in factor(),
    ) {
        let member = |(at, (weight, in_flight))| Member { id: id(at), weight, in_flight };
        let members: Vec<_> = members.into_iter().enumerate().map(member).collect();
        let mut left = Masked::new(&members);
        for at in &tried {
            left.mask_original(at.index(members.len()));
        }
        let total: usize = (0..left.len()).map(|rank| left.in_flight(rank)).sum();
        let all: u64 = (0..left.len()).map(|rank| u64::from(left.weight(rank))).sum();
        let is_full = |&rank: &usize| {
            let most = bound(millionths, total + 1, left.weight(rank), all);
            left.in_flight(rank) >= most
        };
        let mut with_room = Masked::new(&left);
        (0..left.len()).filter(is_full).for_each(|rank| with_room.mask_original(rank));
        for &algorithm in HashAlgorithm::ALL {
            let unbounded = prepared(&small(algorithm, None), &members);
            let bounded = prepared(&bounded(algorithm, millionths), &members);
            for key in keys(10) {
                let expected = pick(&unbounded, &with_room, &key);
                let expected = expected.map(|rank| with_room.unmasked(rank));
                prop_assert_eq!(expected.is_none(), left.is_empty());
                prop_assert_eq!(pick(&bounded, &left, &key), expected, "{}", algorithm);
            }
        }
    }
}

/// 200 keys that all belong to one of ten backends.
fn keys_of_one(algorithm: HashAlgorithm, one: usize) -> Vec<String> {
    let set = set(&[1; 10]);
    let picker = prepared(&small(algorithm, None), &set);
    let mut keys = keys(10_000);
    keys.retain(|key| pick(&picker, &set, key) == Some(one));
    keys.truncate(200);
    assert_eq!(keys.len(), 200, "{algorithm} has few keys for {one}");
    keys
}

#[test]
fn a_hostile_set_of_keys_overloads_nobody_within_bounds_and_one_backend_without() {
    for &algorithm in HashAlgorithm::ALL {
        let keys = keys_of_one(algorithm, 3);
        let unbounded = Selector::new(pool(&[1; 10]), small(algorithm, None));
        assert!(
            places(&unbounded, &keys).iter().all(|&at| at == 3),
            "{algorithm}"
        );

        let pool = pool(&[1; 10]);
        let bounded = Selector::new(pool.clone(), bounded(algorithm, 1_250_000));
        let _held: Vec<_> = keys
            .iter()
            .map(|key| bounded.select(key).unwrap())
            .collect();
        let loads: Vec<_> = pool.list().iter().map(BackendInfo::in_flight).collect();
        assert_eq!(loads.iter().sum::<usize>(), 200, "{algorithm}");
        assert!(
            loads.iter().all(|&load| load <= 25),
            "{algorithm}: {loads:?}"
        );
    }
}

/// Requests only begin here, so the total only grows: what a thread was allowed while it read less
/// is within the bound of the end. Once a backend is there, only those threads can still add to it
/// that had read its load before: each of the others, once.
#[test]
fn threads_that_assign_at_once_exceed_a_bound_by_one_less_than_they_are() {
    const THREADS: usize = 4;
    const EACH: usize = 500;
    const WEIGHTS: [u32; 5] = [1, 1, 2, 3, 1];
    for &algorithm in HashAlgorithm::ALL {
        for millionths in [1_000_000, 1_250_000] {
            let pool = pool(&WEIGHTS);
            let selector = Selector::new(pool.clone(), bounded(algorithm, millionths));
            let start = Barrier::new(THREADS);
            let hot = [key(1), key(2)];
            let send = || {
                start.wait();
                let key = |at: usize| hot[at % 2].as_str();
                (0..EACH)
                    .map(|at| selector.select(key(at)).unwrap().1)
                    .collect::<Vec<_>>()
            };
            let _held: Vec<_> = thread::scope(|scope| {
                let threads = [(); THREADS].map(|()| scope.spawn(send));
                threads
                    .map(|thread| thread.join().expect("no panic"))
                    .into()
            });
            for (info, weight) in pool.list().iter().zip(WEIGHTS) {
                let most = bound(millionths, THREADS * EACH, weight, 8) + THREADS - 1;
                assert!(
                    info.in_flight() <= most,
                    "{algorithm}: {info}, at most {most}"
                );
            }
        }
    }
}
