//! What `WeightedRoundRobin` promises: NGINX's own order, a bound on how far a count is from its
//! ideal at any moment, a counter that goes on, and fair shares for what another attempt picks.
//!
//! Chance comes from proptest, which prints what it chose for a test that fails.

use std::collections::HashMap;
use std::sync::Arc;

use evenkeel::picker::{Context, Selector, Update, WeightedRoundRobin};
use evenkeel::set::Masked;
use evenkeel::{Backend, BackendSet, Picker, Pool};
use proptest::prelude::*;

type Prepared = Arc<dyn Picker<()>>;

/// Backends of these weights, with no ids: here a backend is its place in the list.
fn set_of(weights: &[u32]) -> Vec<(&'static str, u32)> {
    weights.iter().map(|&weight| ("", weight)).collect()
}

fn prepare(picker: &dyn Picker<()>, set: &dyn BackendSet) -> Prepared {
    let prepared = picker.prepare(&Update::new(set, set));
    prepared.expect("weighted round robin builds a table")
}

fn starting_at(start: u64, set: &dyn BackendSet) -> Prepared {
    prepare(&WeightedRoundRobin::starting_at(start), set)
}

fn pick(picker: &dyn Picker<()>, set: &dyn BackendSet) -> usize {
    let rank = picker.pick(set, &(), &mut Context::new());
    rank.expect("some weight is not 0")
}

/// NGINX's smooth weighted round robin, told as in its commit message: each pick, every backend
/// gains its weight, the one with the most is taken (the first of equals), and pays the sum.
struct Nginx {
    weights: Vec<i64>,
    current: Vec<i64>,
}

impl Nginx {
    fn new(weights: &[u32]) -> Self {
        Self {
            weights: weights.iter().map(|&weight| i64::from(weight)).collect(),
            current: vec![0; weights.len()],
        }
    }

    fn next(&mut self) -> usize {
        let mut best = None;
        for (at, weight) in self.weights.iter().enumerate() {
            self.current[at] += weight;
            if *weight > 0 && best.is_none_or(|best: usize| self.current[at] > self.current[best]) {
                best = Some(at);
            }
        }
        let best = best.expect("some weight is not 0");
        self.current[best] -= self.weights.iter().sum::<i64>();
        best
    }
}

/// How far counts are from what the weights ask for, since a moment.
struct Deviation {
    shares: Vec<f64>,
    counts: Vec<u64>,
    picks: u64,
}

impl Deviation {
    fn since_now(weights: &[u32]) -> Self {
        let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
        Self {
            shares: weights.iter().map(|&w| f64::from(w) / sum).collect(),
            counts: vec![0; weights.len()],
            picks: 0,
        }
    }

    /// Counts a pick; returns how far the backend was from its ideal just before and is now,
    /// whichever is more. Between its picks it only falls behind, so these are the worst moments.
    fn count(&mut self, at: usize) -> f64 {
        let before = self.of(at);
        self.counts[at] += 1;
        self.picks += 1;
        before.max(self.of(at))
    }

    fn of(&self, at: usize) -> f64 {
        (self.counts[at] as f64 - self.picks as f64 * self.shares[at]).abs()
    }

    /// The largest at this moment.
    fn largest(&self) -> f64 {
        (0..self.counts.len())
            .map(|at| self.of(at))
            .fold(0.0, f64::max)
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Weights that, divided by their common divisor, add up to 4,096 at most; some are 0.
fn small_weights() -> impl Strategy<Value = Vec<u32>> {
    let few = prop::collection::vec(0u32..=600, 1..7);
    let some = prop::collection::vec(0u32..=40, 1..100);
    let many = prop::collection::vec(0u32..=4, 1..1000);
    (prop_oneof![few, some, many], 1u32..=1_000_000)
        .prop_filter("a weight that is not 0", |(weights, _)| {
            weights.iter().any(|&weight| weight > 0)
        })
        .prop_map(|(weights, factor)| weights.iter().map(|weight| weight * factor).collect())
}

/// Weights whose sum is beyond a cycle: alike, of many sizes, or one that dwarfs the others.
fn large_weights() -> impl Strategy<Value = Vec<u32>> {
    let alike = prop::collection::vec(10_000..=u32::MAX, 2..1000);
    let sizes = (0u32..32).prop_flat_map(|bits| 1..=u32::MAX >> bits);
    let of_many_sizes = prop::collection::vec(sizes, 2..1000);
    let giant = (
        prop::collection::vec(1u32..=100_000, 1..1000),
        any::<prop::sample::Index>(),
    );
    let giant = giant.prop_map(|(mut weights, at)| {
        weights.insert(at.index(weights.len()), u32::MAX);
        weights
    });
    prop_oneof![alike, of_many_sizes, giant].prop_filter("a sum beyond a cycle", |weights| {
        let divisor = weights.iter().copied().fold(0, gcd);
        weights.iter().map(|&weight| u64::from(weight)).sum::<u64>() > 4096 * u64::from(divisor)
    })
}

/// Six standard deviations of a count with this expectation, and some picks for very small ones.
fn chance(expected: f64) -> f64 {
    6.0 * expected.sqrt() + 6.0
}

#[test]
fn weights_5_1_1_give_a_a_b_a_c_a_a() {
    let set = [("a", 5), ("b", 1), ("c", 1)];
    let picker = starting_at(0, &set);
    let order: Vec<&str> = (0..14).map(|_| set.id(pick(&*picker, &set))).collect();
    assert_eq!(order.concat(), "aabacaaaabacaa");
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn small_weights_give_the_cycle_of_nginx(weights in small_weights()) {
        let set = set_of(&weights);
        let picker = starting_at(0, &set);
        let mut nginx = Nginx::new(&weights);
        for turn in 0..10_000 {
            prop_assert_eq!(pick(&*picker, &set), nginx.next(), "turn {}", turn);
        }
    }

    #[test]
    fn a_count_is_never_more_than_2_from_its_ideal(weights in small_weights()) {
        let set = set_of(&weights);
        let picker = starting_at(0, &set);
        let mut deviation = Deviation::since_now(&weights);
        for turn in 0..15_000 {
            let now = deviation.count(pick(&*picker, &set));
            prop_assert!(now <= 2.0 + 1e-9, "{} off at turn {}", now, turn);
        }
        prop_assert!(deviation.largest() <= 2.0 + 1e-9);
    }

    /// A count is less than 1 ahead, since only who is owed the most is picked. So between two
    /// moments it gains or loses less than 3. (A long search for bad weights has found 2.45.)
    #[test]
    fn from_any_start_a_count_is_less_than_3_from_its_ideal(
        weights in small_weights(),
        start: u64,
    ) {
        let set = set_of(&weights);
        // Far from the end of the numbers, where a cycle breaks off once in 2^64 picks.
        let picker = starting_at(start >> 1, &set);
        let mut deviation = Deviation::since_now(&weights);
        for turn in 0..15_000 {
            let now = deviation.count(pick(&*picker, &set));
            prop_assert!(now < 3.0, "{} off at turn {}", now, turn);
        }
        prop_assert!(deviation.largest() < 3.0);
    }

    #[test]
    fn for_large_weights_a_count_is_never_more_than_3_and_a_half_from_its_ideal(
        weights in large_weights(),
        start: u64,
    ) {
        let set = set_of(&weights);
        let picker = starting_at(start, &set);
        let mut deviation = Deviation::since_now(&weights);
        for turn in 1..=20_000 {
            let now = deviation.count(pick(&*picker, &set));
            prop_assert!(now <= 3.5, "{} off at turn {}", now, turn);
        }
        prop_assert!(deviation.largest() <= 3.5);
    }

    #[test]
    fn another_attempt_follows_the_weights_of_the_rest(
        weights in prop_oneof![small_weights(), large_weights()],
        out in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        attempt in 0u32..3,
        seed: u64,
    ) {
        const PICKS: u32 = 5_000;
        let set = set_of(&weights);
        let picker = starting_at(seed, &set);
        let mut masked = Masked::new(&set);
        let mut rest = weights.clone();
        for out in out {
            masked.mask_original(out.index(weights.len()));
            rest[out.index(weights.len())] = 0;
        }
        let sum: f64 = rest.iter().map(|&weight| f64::from(weight)).sum();
        let mut counts = vec![0u32; weights.len()];
        let mut seeds = fastrand::Rng::with_seed(seed);
        for _ in 0..PICKS {
            let mut cx = Context::new().seed(seeds.u64(..)).with_attempt(attempt);
            match picker.pick(&masked, &(), &mut cx) {
                Some(rank) => counts[masked.unmasked(rank)] += 1,
                None => prop_assert!(sum == 0.0, "nothing picked of what is left"),
            }
        }
        for (at, &count) in counts.iter().enumerate().filter(|_| sum > 0.0) {
            let expected = f64::from(PICKS) * f64::from(rest[at]) / sum;
            let off = (f64::from(count) - expected).abs();
            prop_assert!(rest[at] > 0 || count == 0, "a masked backend was picked");
            prop_assert!(off <= chance(expected), "backend {}: {} for {}", at, count, expected);
        }
    }

    #[test]
    fn preparing_for_the_same_set_again_does_not_disturb_the_cycle(
        weights in prop_oneof![small_weights(), large_weights()],
        start in 0..u64::MAX / 2,
        again_after in prop::collection::vec(0usize..20, 1..20),
    ) {
        let set = set_of(&weights);
        let undisturbed = starting_at(start, &set);
        let mut picker = starting_at(start, &set);
        for picks in again_after {
            for _ in 0..picks {
                prop_assert_eq!(pick(&*picker, &set), pick(&*undisturbed, &set));
            }
            picker = prepare(&*picker, &set);
        }
    }
}

#[test]
fn a_backend_that_was_masked_leaves_nothing_to_its_neighbour() {
    // b's turns are as many as a's. If they went to the next slot, c would have twice its share.
    let set = [("a", 8), ("b", 8), ("c", 1), ("d", 7)];
    let picker = starting_at(0, &set);
    let mut masked = Masked::new(&set);
    masked.mask(1);
    let mut counts = [0u32; 3];
    for seed in 0..24_000 {
        let rank = picker.pick(&masked, &(), &mut Context::new().seed(seed));
        counts[rank.expect("three are left")] += 1;
    }
    for (count, expected) in counts.into_iter().zip([12_000.0, 1_500.0, 10_500.0]) {
        assert!(
            (f64::from(count) - expected).abs() <= chance(expected),
            "{counts:?}"
        );
    }
}

/// A pool, and a picker of it that begins with NGINX's cycle.
fn selector(pool: Pool<()>) -> Selector<(), ()> {
    Selector::new(pool, WeightedRoundRobin::starting_at(0))
}

fn next(selector: &Selector<(), ()>) -> String {
    let ((), completion) = selector.select(&()).expect("some weight is not 0");
    completion.backend().to_owned()
}

fn entry(id: &str, weight: u32) -> Backend<()> {
    Backend::new(id, ()).weight(weight)
}

#[test]
fn an_update_after_each_pick_does_not_start_the_cycle_again() {
    let pool = Pool::from([entry("a", 5), entry("b", 1), entry("c", 1)]);
    let selector = selector(pool.clone());
    let mut order = String::new();
    for round in 0..14 {
        order += &next(&selector);
        // Out and in again: two changes that reach the picker and leave the set as it was.
        pool.drain(["a", "b", "c"][round % 3]);
        pool.undrain(["a", "b", "c"][round % 3]);
    }
    assert_eq!(order, "aabacaaaabacaa");
}

#[test]
fn the_cycle_follows_the_order_of_the_pool_whatever_was_there_before() {
    let pool = Pool::from([entry("x", 9), entry("c", 1), entry("y", 9), entry("a", 5)]);
    let selector = selector(pool.clone());
    pool.edit(|edit| {
        for id in ["x", "y", "c"] {
            edit.remove(id);
        }
        edit.insert(entry("b", 1));
    });
    pool.insert(entry("c", 1));
    pool.insert(entry("idle", 0));
    let order: String = (0..7).map(|_| next(&selector)).collect();
    assert_eq!(order, "aabacaa");
}

#[test]
fn threads_share_one_cycle() {
    let set = [("a", 50), ("b", 10), ("c", 10), ("d", 3)];
    let picker = starting_at(12_345, &set);
    let counts = std::thread::scope(|scope| {
        let picks =
            |_| scope.spawn(|| (0..2_500).map(|_| pick(&*picker, &set)).collect::<Vec<_>>());
        let threads: Vec<_> = (0..4).map(picks).collect();
        let mut counts = HashMap::<usize, u32>::new();
        for thread in threads {
            for rank in thread.join().expect("no panic") {
                *counts.entry(rank).or_default() += 1;
            }
        }
        counts
    });
    for (rank, &(id, weight)) in set.iter().enumerate() {
        let ideal = 10_000.0 * f64::from(weight) / 73.0;
        assert!(
            (f64::from(counts[&rank]) - ideal).abs() <= 2.0,
            "{id}: {counts:?}"
        );
    }
}
