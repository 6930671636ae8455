//! With one client, and nothing reported, it does what exact least requests does.

use std::sync::Arc;

use evenkeel::backend::{BackendInfo, Failure, Outcome};
use evenkeel::picker::Adaptive;
use evenkeel::{Backend, Pool};
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::world::{Request, World};
use crate::{cases, millis};

#[derive(Clone, Debug)]
enum Step {
    Begin,
    Head(Index),
    Succeed(Index),
    Cancel(Index),
    Pass(u64),
}

fn steps(times: impl Strategy<Value = u64> + 'static) -> impl Strategy<Value = Vec<Step>> {
    let times = times.boxed();
    let step = prop_oneof![
        6 => Just(Step::Begin),
        2 => any::<Index>().prop_map(Step::Head),
        4 => any::<Index>().prop_map(Step::Succeed),
        1 => any::<Index>().prop_map(Step::Cancel),
        3 => times.prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..200)
}

fn world(weights: &[u32]) -> World {
    let members = weights.iter().enumerate();
    let backends = members.map(|(at, &weight)| Backend::new(at.to_string(), at).weight(weight));
    World::over(backends.collect(), Arc::new(Adaptive::new()))
}

fn weights() -> impl Strategy<Value = Vec<u32>> {
    let weights = select(vec![vec![1], vec![1, 2, 3], vec![1, 100, u32::MAX]]);
    weights.prop_flat_map(|weights| prop::collection::vec(select(weights), 1..30))
}

/// Fewer requests for its weight than the one that was picked had.
fn better(pool: &Pool<usize>, picked: usize) -> Option<BackendInfo> {
    let id = picked.to_string();
    let load = |info: &BackendInfo, per: &BackendInfo| {
        let before = info.in_flight() - usize::from(info.id() == id);
        before as u64 * u64::from(per.weight())
    };
    let picked = pool.get(&id).expect("a member");
    let mut others = pool.list().into_iter();
    others.find(|other| load(other, &picked) < load(&picked, other))
}

fn take(world: &World, running: &mut Vec<Request>, step: &Step) -> Result<(), TestCaseError> {
    let mut end = |at: &Index| {
        let some = !running.is_empty();
        some.then(|| running.swap_remove(at.index(running.len())))
    };
    match step {
        Step::Begin => {
            let (picked, request) = world.begin();
            running.push(request);
            if let Some(better) = better(&world.pool, picked) {
                prop_assert!(false, "{} was picked, not {}", picked, better);
            }
        }
        Step::Head(at) => {
            if let Some(mut request) = end(at) {
                request.head();
                running.push(request);
            }
        }
        Step::Succeed(at) => drop(end(at).map(Request::succeed)),
        Step::Cancel(at) => drop(end(at).map(Request::cancel)),
        Step::Pass(time) => world.pass(millis(*time)),
    }
    Ok(())
}

proptest! {
    #![proptest_config(cases(150))]

    /// As long as response times foretell nothing, which they cannot where all are alike.
    #[test]
    fn a_true_minimum_of_requests_in_flight_is_picked(weights in weights(), steps in steps(Just(0))) {
        let (world, mut running) = (world(&weights), Vec::new());
        for step in steps {
            take(&world, &mut running, &step)?;
        }
    }

    /// Whatever response times are, before there are enough to learn from.
    #[test]
    fn nothing_is_made_of_a_few_response_times(
        weights in weights(), steps in steps(0..10_000_u64),
    ) {
        let (world, mut running) = (world(&weights), Vec::new());
        let mut successes = 0;
        for step in steps {
            successes += usize::from(matches!(step, Step::Succeed(_) | Step::Head(_)));
            if successes < 20 {
                take(&world, &mut running, &step)?;
            }
        }
    }
}

#[test]
fn those_that_tie_share_the_requests_by_weight() {
    let world = world(&[1, 2, 3]);
    let mut counts = [0_u32; 3];
    for _ in 0..6_000 {
        let (picked, request) = world.begin();
        world.pass(millis(10));
        request.succeed();
        counts[picked] += 1;
    }
    for (count, expected) in counts.into_iter().zip([1_000, 2_000, 3_000]) {
        assert!(count.abs_diff(expected) < 200, "{counts:?}");
    }
}

#[test]
fn a_cancelled_request_is_not_held_against_its_backend() {
    let world = World::new(2);
    world.warm_up();
    for _ in 0..50 {
        let request = world.begin_at(0);
        world.pass(millis(1));
        request.cancel();
    }
    assert_eq!(world.spread(20), [10, 10]);
    // A failure is.
    let request = world.begin_at(0);
    request.finish(Outcome::Failure(Failure::Other));
    assert!(world.spread(20)[0] < 10);
}
