//! Where a second attempt may go, and that it costs nothing where it may not.

use std::task::Poll;
use std::time::Duration;

use evenkeel::backend::{Completion, Failure};
use evenkeel::balance::Attempt;
use evenkeel::picker::Ordered;
use evenkeel::retry::{Hedge, RetryLayer};
use evenkeel::set::{Limits, Rules};
use evenkeel::{Backend, Balance, Error, Pool};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

use crate::setup::{BROKEN, Observer, Says, World, layer, tokens};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn hedging() -> RetryLayer<fn(&u64) -> bool> {
    layer().hedge(Hedge::after(ms(50)))
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_hedged() {
    let world = World::new([("a", (100, Says::Well)), ("b", (0, Says::Well))]);
    let service = hedging().budget(tokens(1)).layer(world.ordered());
    assert_eq!(service.clone().oneshot(1).await.unwrap().from, "b");
    assert_eq!(service.oneshot(1).await.unwrap().from, "a");
    assert_eq!(world.asked(), ["a", "b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_alone_is_not_hedged_and_no_token_is_lost() {
    let world = World::new([("a", (100, Says::Well))]);
    let budget = tokens(1);
    let service = hedging().budget(budget.clone()).layer(world.ordered());
    assert_eq!(service.oneshot(1).await.unwrap().from, "a");
    assert_eq!(world.asked(), ["a"]);
    assert!(budget.available() >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn while_no_backend_has_the_request_nothing_is_hedged() {
    let world = World::new([("a", (100, Says::Well)), ("b", (0, Says::Well))]);
    world.pool.drain("a");
    world.pool.drain("b");
    let budget = tokens(1);
    let service = hedging().budget(budget.clone()).layer(world.ordered());
    let asking = tokio::spawn(service.oneshot(1));
    sleep(ms(200)).await;
    world.pool.undrain("a");
    assert_eq!(asking.await.unwrap().unwrap().from, "a");
    assert_eq!(world.asked(), ["a"]);
    assert!(budget.available() >= 1.0);
}

/// The others are out: there was no attempt, so the request has all of them left.
#[tokio::test(start_paused = true)]
async fn a_hedge_that_finds_nobody_is_no_attempt() {
    let world = World::new([("a", (60, BROKEN)), ("b", (0, Says::Well))]);
    world.pool.drain("b");
    let observer = Observer::default();
    let layer = hedging().attempts(2).unwrap().observer(observer.clone());
    let service = layer.layer(world.ordered());
    let error = service.oneshot(1).await.unwrap_err();
    assert_eq!(error.attempts().len(), 2, "{error}");
    assert_eq!(error.failure(), Some(Failure::Other));
    assert_eq!(world.asked(), ["a", "a"]);
    assert_eq!(observer.heard().requests[0].len(), 2);
}

/// A second backend, which takes one request, and has one: it is eligible, and full.
fn insert_busy<T: Clone + Send + Sync + 'static>(pool: &Pool<T>, b: T) -> Completion {
    pool.set_rules(Rules::new().limits(Limits::new().queue(10)));
    pool.insert(Backend::new("b", b).max_in_flight(1));
    pool.start(|_set| Some(1)).unwrap().1
}

#[tokio::test(start_paused = true)]
async fn a_hedge_does_not_wait_for_room_and_is_no_attempt_without_it() {
    let world = World::new([("a", (100, Says::Well))]);
    world.says("b", [(0, Says::Well)]);
    let busy = insert_busy(&world.pool, world.server("b"));
    let service = hedging().attempts(2).unwrap().layer(world.ordered());
    let asking = tokio::spawn(service.clone().oneshot(1));
    sleep(ms(70)).await;
    drop(busy);
    assert_eq!(asking.await.unwrap().unwrap().from, "a");
    assert_eq!(world.asked(), ["a"]);

    // There is an attempt left, for which there is room by then.
    world.says("a", [(100, BROKEN)]);
    let (_, busy) = world.pool.start(|_| Some(1)).unwrap();
    let asking = tokio::spawn(service.oneshot(2));
    sleep(ms(70)).await;
    drop(busy);
    assert_eq!(asking.await.unwrap().unwrap().from, "b");
    assert_eq!(world.asked(), ["a", "b"]);
}

/// What is found out at a moment at which the first attempt fails, too.
#[tokio::test(start_paused = true)]
async fn a_hedge_that_finds_nobody_hides_no_failure() {
    // Ends at the second poll of the moment at which it is hedged, or of a later one.
    let service = service_fn(move |_request: u64| {
        let (mut polls, began) = (0, Instant::now());
        std::future::poll_fn(move |_cx| {
            polls += u32::from(began.elapsed() >= ms(50));
            if polls == 2 {
                return Poll::Ready(Err::<(), _>(std::io::Error::other("out of order")));
            }
            Poll::Pending
        })
    });
    let pool = Pool::from([Backend::new("a", service)]);
    let _busy = insert_busy(&pool, service);
    let balance = Balance::new(pool, Ordered::new()).attempt_timeout(ms(70));
    let error = hedging().on([]).layer(balance).oneshot(1).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error}");
    assert_eq!(error.backend(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn the_only_one_that_is_left_is_another_if_the_first_is_drained_by_now() {
    let world = World::new([("a", (100, Says::Well)), ("b", (0, Says::Well))]);
    let asking = tokio::spawn(hedging().layer(world.ordered()).oneshot(1));
    sleep(ms(10)).await;
    world.pool.drain("a");
    assert_eq!(asking.await.unwrap().unwrap().from, "b");
}

#[tokio::test(start_paused = true)]
async fn what_may_only_go_to_one_is_not_hedged() {
    let world = World::new([("a", (100, Says::Well)), ("b", (0, Says::Well))]);
    let service = hedging().layer(world.ordered()).attempts();
    let a = world.pool.get("a").unwrap().handle();
    let only = service.clone().oneshot(Attempt::new(1).only(a)).await;
    assert_eq!(only.unwrap().from, "a");
    assert_eq!(world.asked(), ["a"]);
    let prefers = service.oneshot(Attempt::new(1).to(a)).await;
    assert_eq!(prefers.unwrap().from, "b");
}

#[tokio::test(start_paused = true)]
async fn who_is_to_be_kept_from_the_others_costs_no_token() {
    let world = World::new([("a", (100, Says::Well)), ("b", (0, Says::Well))]);
    let budget = tokens(1);
    let service = hedging().budget(budget.clone()).layer(world.ordered());
    let b = world.pool.get("b").unwrap().handle();
    let answer = service.attempts().oneshot(Attempt::new(1).not_on(b)).await;
    assert_eq!(answer.unwrap().from, "a");
    assert!(budget.available() >= 1.0);
}
