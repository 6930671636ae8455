//! Requests that belong to one backend: bound to it, or sent there by a key.

mod common;

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::{Echo, Gate, echo, in_flight};
use evenkeel::backend::Handle;
use evenkeel::balance::{Attempt, Error};
use evenkeel::picker::hash::{Keyed, Maglev, key_of};
use evenkeel::picker::{NoBackend, RoundRobin};
use evenkeel::{Backend, Balance, Pool};
use tokio::time::Instant;
use tower::ServiceExt;

const AFFINITY: Duration = Duration::from_millis(20);

fn handle<T: Clone>(pool: &Pool<T>, id: &str) -> Handle {
    pool.get(id).expect("a member").handle()
}

fn echoes() -> Pool<Echo> {
    ["a", "b", "c"]
        .into_iter()
        .map(|id| Backend::new(id, echo(id)))
        .collect()
}

/// Gates that are closed, and the one that a key leads to.
async fn closed_gates() -> (
    Pool<Gate>,
    Keyed<Maglev, impl evenkeel::picker::hash::Key<()>>,
    Gate,
) {
    let gates = ["a", "b", "c"].map(Gate::closed);
    let pool: Pool<Gate> = gates
        .iter()
        .map(|gate| Backend::new(gate.name, gate.clone()))
        .collect();
    let picker = || Keyed::new(Maglev::new(), key_of(|(): &()| Some("some key".into())));
    let of_key = Balance::new(echoes(), picker()).oneshot(()).await.unwrap();
    let home = gates.into_iter().find(|gate| gate.name == of_key).unwrap();
    (pool, picker(), home)
}

#[tokio::test]
async fn a_bound_request_goes_to_its_backend_whatever_the_picker_says() {
    let pool = echoes();
    let attempts = Balance::new(pool.clone(), RoundRobin::starting_at(0)).attempts();
    for id in ["c", "c", "b", "c"] {
        let attempt = Attempt::new(()).to(handle(&pool, id));
        assert_eq!(attempts.clone().oneshot(attempt).await.unwrap(), id);
    }
    let unbound = attempts.oneshot(Attempt::new(())).await.unwrap();
    assert_eq!(unbound, "a", "the picker was not asked for the others");
    assert!(["a", "b", "c"].iter().all(|id| in_flight(&pool, id) == 0));
}

#[tokio::test]
async fn a_draining_backend_and_one_of_weight_0_keep_what_is_bound_to_them() {
    let pool = echoes();
    let attempts = Balance::round_robin(pool.clone()).attempts();
    pool.drain("b");
    pool.set_weight("c", 0);
    for id in ["b", "c"] {
        for attempt in [
            Attempt::new(()).to(handle(&pool, id)),
            Attempt::new(()).only(handle(&pool, id)),
        ] {
            assert_eq!(attempts.clone().oneshot(attempt).await.unwrap(), id);
        }
    }
    for _ in 0..10 {
        let attempt = Attempt::new(());
        assert_eq!(attempts.clone().oneshot(attempt).await.unwrap(), "a");
    }
}

#[tokio::test(start_paused = true)]
async fn when_its_backend_has_left_the_picker_chooses_or_it_fails_at_once() {
    let pool = echoes();
    let attempts = Balance::round_robin(pool.clone()).attempts();
    let gone = handle(&pool, "b");
    pool.remove("b");
    // Another member now, on the same slot.
    pool.insert(Backend::new("b", echo("b")));

    let start = Instant::now();
    let attempt = Attempt::new(()).to(gone);
    assert!(attempts.clone().oneshot(attempt).await.is_ok());
    let error = attempts.oneshot(Attempt::new(()).only(gone)).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::NoBackend(NoBackend::Gone)));
    assert_eq!(
        error.to_string(),
        "no backend to send the request to: the backend that it is bound to has left"
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_request_for_one_backend_only_waits_for_it_and_for_no_other() {
    let gate = Gate::closed("a");
    let pool = Pool::from([
        Backend::new("a", gate.clone()),
        Backend::new("b", Gate::open("b")),
    ]);
    let attempts = Balance::round_robin(pool.clone()).attempts();
    let a = handle(&pool, "a");
    let only_a = || Attempt::new(()).only(a);

    let error = attempts.clone().oneshot(only_a()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no backend took the request within 1.000 s: a is not ready"
    );

    let waiting = tokio::spawn(attempts.clone().oneshot(only_a()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    gate.set_open(true);
    assert_eq!(waiting.await.unwrap().unwrap(), "a");

    gate.set_open(false);
    let waiting = tokio::spawn(attempts.oneshot(only_a()));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let start = Instant::now();
    pool.remove("a");
    let error = waiting.await.unwrap().unwrap_err();
    assert!(matches!(error, Error::NoBackend(NoBackend::Gone)));
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_bound_request_is_passed_over_at_once_unless_affinity_wait_says_otherwise() {
    let pool = Pool::from([
        Backend::new("a", Gate::closed("a")),
        Backend::new("b", Gate::open("b")),
    ]);
    let a = handle(&pool, "a");
    for wait in [Duration::ZERO, AFFINITY] {
        let balance = Balance::round_robin(pool.clone()).affinity_wait(wait);
        let start = Instant::now();
        assert_eq!(
            balance
                .attempts()
                .oneshot(Attempt::new(()).to(a))
                .await
                .unwrap(),
            "b"
        );
        assert_eq!(start.elapsed(), wait);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drained_backend_is_waited_for_by_what_is_bound_to_it() {
    let gate = Gate::closed("a");
    let pool = Pool::from([
        Backend::new("a", gate.clone()),
        Backend::new("b", Gate::open("b")),
    ]);
    pool.drain("a");
    let to_a = Attempt::new(()).to(handle(&pool, "a"));
    let balance = Balance::round_robin(pool).affinity_wait(AFFINITY);
    let waiting = tokio::spawn(balance.attempts().oneshot(to_a));
    tokio::time::sleep(AFFINITY / 2).await;
    gate.set_open(true);
    assert_eq!(waiting.await.unwrap().unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_keyed_pick_waits_for_its_backend_and_then_goes_to_the_next_choice() {
    let (pool, picker, home) = closed_gates().await;
    let balance = Balance::new(pool.clone(), picker).affinity_wait(AFFINITY);
    for other in ["a", "b", "c"].into_iter().filter(|&id| id != home.name) {
        pool.insert(Backend::new(other, Gate::open(other)));
    }

    // In time.
    let waiting = tokio::spawn(balance.clone().oneshot(()));
    tokio::time::sleep(AFFINITY / 2).await;
    home.set_open(true);
    assert_eq!(waiting.await.unwrap().unwrap(), home.name);

    // Too late.
    home.set_open(false);
    let start = Instant::now();
    let answer = balance.clone().oneshot(()).await.unwrap();
    assert_ne!(answer, home.name);
    assert_eq!(start.elapsed(), AFFINITY);
    assert_eq!(balance.oneshot(()).await.unwrap(), answer);
}

#[tokio::test(start_paused = true)]
async fn affinity_wait_is_part_of_max_wait() {
    let (pool, picker, _home) = closed_gates().await;
    let balance = Balance::new(pool, picker)
        .affinity_wait(Duration::from_secs(5))
        .max_wait(Duration::from_secs(1));
    let start = Instant::now();
    assert!(balance.oneshot(()).await.is_err());
    assert_eq!(start.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn however_long_affinity_waits_another_that_is_ready_gets_the_request_in_time() {
    let pool = Pool::from([
        Backend::new("a", Gate::closed("a")),
        Backend::new("b", Gate::open("b")),
    ]);
    for (affinity, max, expected) in [
        (500, 1_000, 500),
        (1_000, 1_000, 1_000),
        (2_000, 1_000, 1_000),
        (10, 0, 0),
    ] {
        let balance = Balance::round_robin(pool.clone())
            .affinity_wait(Duration::from_millis(affinity))
            .max_wait(Duration::from_millis(max));
        let to_a = Attempt::new(()).to(handle(&pool, "a"));
        let start = Instant::now();
        assert_eq!(balance.attempts().oneshot(to_a).await.unwrap(), "b");
        assert_eq!(start.elapsed(), Duration::from_millis(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn pickers_without_a_key_do_not_wait_for_affinity() {
    let pool = Pool::from([
        Backend::new("a", Gate::closed("a")),
        Backend::new("b", Gate::open("b")),
    ]);
    let picker = RoundRobin::starting_at(0);
    let balance = Balance::new(pool, picker).affinity_wait(AFFINITY);
    let start = Instant::now();
    assert_eq!(balance.oneshot(()).await.unwrap(), "b");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[test]
fn without_a_runtime_a_keyed_pick_does_not_wait() {
    let pool = Pool::from([
        Backend::new("a", Gate::closed("a")),
        Backend::new("b", Gate::open("b")),
    ]);
    let to_a = Attempt::new(()).to(handle(&pool, "a"));
    let balance = Balance::round_robin(pool).affinity_wait(AFFINITY);
    let future = pin!(balance.attempts().oneshot(to_a));
    let Poll::Ready(Ok(answer)) = future.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits without a timer");
    };
    assert_eq!(answer, "b");
}
