//! What `WeightedRoundRobin` promises: NGINX's own order, a bound on how far a count is from its
//! ideal at any moment, a counter that goes on, and fair shares for what another attempt picks.
//!
//! Chance comes from proptest, which prints what it chose for a test that fails.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use evenkeel::picker::{Context, Update, WeightedRoundRobin};
use evenkeel::set::Masked;
use evenkeel::{Backend, BackendSet, Balance, Picker, Pool};
use proptest::prelude::*;
use tower::{ServiceExt, service_fn};

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
    /// whichever is more. In between two of its picks a backend only falls behind, so these moments are the worst.
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
    let picked: Vec<&str> = (0..14).map(|_| set.id(pick(&*picker, &set))).collect();
    assert_eq!(picked.concat(), "aabacaaaabacaa");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

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
    fn a_count_is_never_more_than_2_from_its_ideal(weights in small_weights(), start: u64) {
        let set = set_of(&weights);
        // Far from the end of the numbers, where a cycle may break off once in 2^64 picks.
        let picker = starting_at(start >> 1, &set);
        let mut deviation = Deviation::since_now(&weights);
        for turn in 0..15_000 {
            let now = deviation.count(pick(&*picker, &set));
            prop_assert!(now <= 2.0 + 1e-9, "{} off at turn {}", now, turn);
        }
        prop_assert!(deviation.largest() <= 2.0 + 1e-9);
    }

    /// The bound is the golden-ratio sequence's own, over all weights and starts: found by looking at every arc of
    /// the circle for each count up to 30,000. It is 3.5 after 450 picks, 4.9 after 10,000 and 6.8 after a million.
    #[test]
    fn for_large_weights_the_deviation_grows_with_the_logarithm_of_picks_only(
        weights in large_weights(),
        start: u64,
    ) {
        let set = set_of(&weights);
        let picker = starting_at(start, &set);
        let mut deviation = Deviation::since_now(&weights);
        for turn in 1..=20_000 {
            let now = deviation.count(pick(&*picker, &set));
            let bound = 1.0 + 0.42 * f64::from(turn).ln() + 1e-3;
            prop_assert!(now <= bound, "{} off at turn {}", now, turn);
        }
    }

    #[test]
    fn another_attempt_follows_the_weights_of_the_rest(
        weights in prop_oneof![small_weights(), large_weights()],
        out in prop::collection::vec(any::<prop::sample::Index>(), 1..12),
        attempt in 0u32..3,
        seed: u64,
    ) {
        const PICKS: u64 = 5_000;
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
        for turn in 0..PICKS {
            let mut cx = Context::new().seed(seed.wrapping_add(turn)).with_attempt(attempt);
            match picker.pick(&masked, &(), &mut cx) {
                Some(rank) => counts[masked.unmasked(rank)] += 1,
                None => prop_assert!(sum == 0.0, "nothing picked of what is left"),
            }
        }
        for (at, &count) in counts.iter().enumerate().filter(|_| sum > 0.0) {
            let expected = PICKS as f64 * f64::from(rest[at]) / sum;
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

/// Calls a balance whose backends answer with their id at once.
fn answer(response: impl Future<Output = Result<&'static str, evenkeel::Error>>) -> &'static str {
    match pin!(response).poll(&mut TaskContext::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer.expect("a backend answers"),
        Poll::Pending => panic!("no backend was ready"),
    }
}

macro_rules! says {
    ($id:expr) => {{
        let id: &'static str = $id;
        service_fn(move |(): ()| async move { Ok::<_, std::io::Error>(id) })
    }};
}

#[test]
fn an_update_after_each_pick_does_not_start_the_cycle_again() {
    let pool: Pool<_> = [("a", 5), ("b", 1), ("c", 1)]
        .map(|(id, weight)| Backend::new(id, says!(id)).weight(weight))
        .into_iter()
        .collect();
    let balance = Balance::new(pool.clone(), WeightedRoundRobin::starting_at(0));
    let mut picked = String::new();
    for round in 0..14 {
        picked += answer(balance.clone().oneshot(()));
        // Out and in again: two changes that reach the picker and leave the set as it was.
        pool.drain(["a", "b", "c"][round % 3]);
        pool.undrain(["a", "b", "c"][round % 3]);
    }
    assert_eq!(picked, "aabacaaaabacaa");
}

#[test]
fn the_cycle_follows_the_order_of_the_pool_whatever_was_there_before() {
    let entry = |id: &'static str, weight| Backend::new(id, says!(id)).weight(weight);
    let pool = Pool::from([entry("x", 9), entry("c", 1), entry("y", 9), entry("a", 5)]);
    let balance = Balance::new(pool.clone(), WeightedRoundRobin::starting_at(0));
    pool.edit(|edit| {
        ["x", "y", "c"].map(|id| edit.remove(id));
        edit.insert(entry("b", 1));
    });
    pool.insert(entry("c", 1));
    pool.insert(entry("idle", 0));
    let picked: Vec<_> = (0..7)
        .map(|_| answer(balance.clone().oneshot(())))
        .collect();
    assert_eq!(picked.concat(), "aabacaa");
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
