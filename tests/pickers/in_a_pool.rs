//! Every picker in a `Balance` over a pool that changes: only eligible backends are picked, and the
//! share of one that drops out goes to all the others.

use std::collections::{BTreeMap, HashMap};
use std::future::{Future, Ready, ready};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use evenkeel::picker::Algorithm;
use evenkeel::{Backend, Balance, Pool};
use proptest::prelude::*;
use tower::{Service, ServiceExt};

use crate::{cases, picker, weight};

const IDS: usize = 10;

/// Answers with its own number, at once, unless it is busy.
#[derive(Clone)]
struct Echo {
    id: usize,
    busy: Arc<[AtomicBool; IDS]>,
}

impl Service<()> for Echo {
    type Response = usize;
    type Error = io::Error;
    type Future = Ready<io::Result<usize>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.busy[self.id].load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(self.id))
    }
}

type EchoBalance = Balance<Echo, ()>;

fn balance(pool: &Pool<Echo>, algorithm: Algorithm, seed: u64) -> EchoBalance {
    let balance = Balance::new(pool.clone(), picker(algorithm, seed, None));
    balance.max_wait(Duration::ZERO)
}

fn call(balance: &EchoBalance) -> Result<usize, evenkeel::Error> {
    let response = pin!(balance.clone().oneshot(()));
    match response.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits although it may not"),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert(usize, u32),
    Remove(usize),
    Weight(usize, u32),
    Drain(usize, bool),
    Busy(usize, bool),
    ReplaceAll(Vec<(usize, u32)>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..IDS, weight()).prop_map(|(id, weight)| Step::Insert(id, weight)),
        2 => (0..IDS).prop_map(Step::Remove),
        2 => (0..IDS, weight()).prop_map(|(id, weight)| Step::Weight(id, weight)),
        2 => (0..IDS, any::<bool>()).prop_map(|(id, on)| Step::Drain(id, on)),
        2 => (0..IDS, any::<bool>()).prop_map(|(id, on)| Step::Busy(id, on)),
        1 => prop::collection::vec((0..IDS, weight()), 0..12).prop_map(Step::ReplaceAll),
    ];
    prop::collection::vec(step, 1..60)
}

/// What the pool should hold: weight and drain of each member.
#[derive(Default)]
struct Model(BTreeMap<usize, (u32, bool)>);

impl Model {
    fn apply(&mut self, step: &Step, pool: &Pool<Echo>, busy: &Arc<[AtomicBool; IDS]>) {
        let echo = |id| Echo {
            id,
            busy: Arc::clone(busy),
        };
        match step {
            Step::Insert(id, weight) => {
                self.0.entry(*id).or_default().0 = *weight;
                pool.insert(Backend::new(id.to_string(), echo(*id)).weight(*weight));
            }
            Step::Remove(id) => {
                self.0.remove(id);
                pool.remove(&id.to_string());
            }
            Step::Weight(id, weight) => {
                self.0.entry(*id).and_modify(|member| member.0 = *weight);
                pool.set_weight(&id.to_string(), *weight);
            }
            Step::Drain(id, on) => {
                self.0.entry(*id).and_modify(|member| member.1 = *on);
                let change = if *on { Pool::drain } else { Pool::undrain };
                change(pool, &id.to_string());
            }
            Step::Busy(id, on) => busy[*id].store(*on, Ordering::Relaxed),
            Step::ReplaceAll(list) => {
                self.0
                    .retain(|id, _| list.iter().any(|(listed, _)| listed == id));
                for (id, weight) in list {
                    self.0.entry(*id).or_default().0 = *weight;
                }
                let list = list
                    .iter()
                    .map(|&(id, weight)| Backend::new(id.to_string(), id).weight(weight));
                pool.replace_all_with(list, echo);
            }
        }
    }

    fn eligible(&self, id: usize) -> bool {
        self.0
            .get(&id)
            .is_some_and(|&(weight, drained)| weight > 0 && !drained)
    }
}

fn assert_finds_a_ready_one(balance: &EchoBalance, eligible: &[usize], ready: &[usize]) {
    match call(balance) {
        Ok(id) => assert!(ready.contains(&id), "chose {id}, ready are {ready:?}"),
        Err(error) => {
            assert!(ready.is_empty(), "{error}, although {ready:?} are ready");
            assert_eq!(error.is_no_backend(), eligible.is_empty(), "{error}");
        }
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn an_ineligible_backend_is_never_picked_and_a_ready_one_is_always_found(
        steps in steps(),
        algorithm in prop::sample::select(Algorithm::ALL),
        seed: u64,
    ) {
        let pool = Pool::new();
        let busy = Arc::default();
        let balance = balance(&pool, algorithm, seed);
        let mut model = Model::default();
        for step in &steps {
            model.apply(step, &pool, &busy);
            let eligible: Vec<_> = (0..IDS).filter(|&id| model.eligible(id)).collect();
            let is_ready = |id: &usize| !busy[*id].load(Ordering::Relaxed);
            let ready: Vec<_> = eligible.iter().copied().filter(is_ready).collect();
            for _ in 0..4 {
                assert_finds_a_ready_one(&balance, &eligible, &ready);
            }
        }
    }
}

/// How the fourth of ten backends drops out.
type DropOut = fn(&Pool<Echo>, &[AtomicBool; IDS]);

const EVEN: [Algorithm; 3] = [
    Algorithm::RoundRobin,
    Algorithm::Random,
    Algorithm::LeastRequests,
];

fn assert_others_take_over_evenly(drop_out: DropOut, seed: u64) {
    for algorithm in EVEN {
        let busy: Arc<[AtomicBool; IDS]> = Arc::default();
        let echo = |id: usize| Echo {
            id,
            busy: Arc::clone(&busy),
        };
        let pool: Pool<_> = (0..IDS)
            .map(|id| Backend::new(id.to_string(), echo(id)))
            .collect();
        let balance = balance(&pool, algorithm, seed);
        drop_out(&pool, &busy);
        assert_nine_are_even(algorithm, &balance);
    }
}

fn assert_nine_are_even(algorithm: Algorithm, balance: &EchoBalance) {
    const PICKS: usize = 100_000;
    const FAIR: f64 = PICKS as f64 / (IDS - 1) as f64;
    let mut counts = HashMap::<usize, usize>::new();
    for _ in 0..PICKS {
        *counts
            .entry(call(balance).expect("nine are ready"))
            .or_default() += 1;
    }
    assert!(
        counts.len() == IDS - 1 && !counts.contains_key(&3),
        "{algorithm}: {counts:?}"
    );
    let even = |&count: &usize| (count as f64 / FAIR - 1.0).abs() <= 0.05;
    assert!(counts.values().all(even), "{algorithm}: {counts:?}");
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn the_share_of_a_drained_backend_goes_to_all_the_others_evenly(seed: u64) {
        assert_others_take_over_evenly(|pool, _| assert!(pool.drain("3")), seed);
    }

    #[test]
    fn the_share_of_a_removed_backend_goes_to_all_the_others_evenly(seed: u64) {
        assert_others_take_over_evenly(|pool, _| assert!(pool.remove("3")), seed);
    }

    #[test]
    fn the_share_of_a_backend_that_is_not_ready_goes_to_all_the_others_evenly(seed: u64) {
        assert_others_take_over_evenly(|_, busy| busy[3].store(true, Ordering::Relaxed), seed);
    }
}

#[test]
fn a_seeded_balance_picks_as_evenly_as_any() {
    // With this seed the first numbers of the generators that follow it were far from even.
    const SEED: u64 = 9_151_148_505_036_188_502;
    let ready = |id: usize| Echo {
        id,
        busy: Arc::default(),
    };
    let pool: Pool<_> = (0..IDS)
        .filter(|&id| id != 3)
        .map(|id| Backend::new(id.to_string(), ready(id)))
        .collect();
    for algorithm in EVEN {
        let seeded = balance(&pool, algorithm, SEED).seed(SEED);
        assert_nine_are_even(algorithm, &seeded);
    }
}
