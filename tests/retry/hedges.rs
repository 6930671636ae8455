//! A second attempt beside one that takes long.

use std::time::Duration;

use evenkeel::backend::Outcome;
use evenkeel::balance::Head;
use evenkeel::retry::{Hedge, RetryLayer};
use tokio::time::sleep;
use tower::{Layer, ServiceExt};

use crate::setup::{
    BROKEN, GATEWAY, Observer, REFUSED, Says, Step, UNSAFE, World, gateway, layer, told,
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn hedging() -> RetryLayer<fn(&u64) -> bool> {
    layer().hedge(Hedge::after(ms(50)))
}

/// When who was asked, and when who has answered.
async fn run(a: Step, b: Step) -> (Vec<(&'static str, u64)>, Option<&'static str>, u64) {
    let world = World::new([("a", a), ("b", b)]);
    let layer = hedging().attempts(2).unwrap();
    let result = layer.layer(world.ordered()).oneshot(1).await;
    let asked = world
        .log()
        .iter()
        .map(|asked| (asked.name, asked.at))
        .collect();
    assert_eq!(world.in_flight(), 0);
    (asked, result.ok().map(|answer| answer.from), world.now())
}

#[tokio::test(start_paused = true)]
async fn who_answers_in_time_is_not_hedged() {
    for after in [0, 1, 49] {
        let (asked, from, now) = run((after, Says::Well), (0, Says::Well)).await;
        assert_eq!((asked, from, now), (vec![("a", 0)], Some("a"), after));
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_good_answer_wins() {
    let both = vec![("a", 0), ("b", 50)];
    let hedge = run((100, Says::Well), (10, Says::Well)).await;
    assert_eq!(hedge, (both.clone(), Some("b"), 60));
    let first = run((100, Says::Well), (90, Says::Well)).await;
    assert_eq!(first, (both, Some("a"), 100));
}

#[tokio::test(start_paused = true)]
async fn a_failure_never_wins_while_the_other_attempt_is_pending() {
    let both = vec![("a", 0), ("b", 50)];
    for bad in [BROKEN, REFUSED, gateway()] {
        let hedge_fails = run((100, Says::Well), (10, bad)).await;
        assert_eq!(hedge_fails, (both.clone(), Some("a"), 100));
        let first_fails = run((60, bad), (50, Says::Well)).await;
        assert_eq!(first_fails, (both.clone(), Some("b"), 100));
    }
    let all_fail = run((60, BROKEN), (30, BROKEN)).await;
    assert_eq!(all_fail, (both, None, 80));
}

#[tokio::test(start_paused = true)]
async fn when_both_have_failed_a_third_attempt_goes_elsewhere() {
    for (first, second) in [(60, 60), (110, 20)] {
        let world = World::new([
            ("a", (first, BROKEN)),
            ("b", (second, BROKEN)),
            ("c", (0, Says::Well)),
        ]);
        let answer = hedging().layer(world.ordered()).oneshot(1).await.unwrap();
        assert_eq!(answer.from, "c");
        assert_eq!(answer.before.len(), 2);
        assert_eq!(world.asked(), ["a", "b", "c"]);
    }
}

/// Whichever of two attempts it was that was told so.
#[tokio::test(start_paused = true)]
async fn what_is_said_of_another_attempt_goes_for_both() {
    let never = Says::Head(GATEWAY, Head::failed(GATEWAY).no_retry());
    let later = Says::Head(
        GATEWAY,
        Head::failed(GATEWAY).retry_after(ms(700)).anywhere(),
    );
    for (first, second) in [(60, 60), (110, 20)] {
        let world = World::new([
            ("a", (first, never)),
            ("b", (second, gateway())),
            ("c", (0, Says::Well)),
        ]);
        let service = hedging().layer(world.ordered());
        let answer = service.clone().oneshot(1).await.unwrap();
        assert_eq!(answer.outcome, GATEWAY);
        world.says("a", [(first, gateway())]);
        world.says("b", [(second, never)]);
        let answer = service.clone().oneshot(1).await.unwrap();
        assert_eq!(answer.outcome, GATEWAY);
        world.asked();

        world.says("b", [(second, gateway())]);
        world.says("a", [(first, later)]);
        assert_eq!(service.oneshot(1).await.unwrap().from, "c");
        let log = world.log();
        assert_eq!(log[2].at - log[0].at, first + 700);
    }
}

#[tokio::test(start_paused = true)]
async fn who_loses_is_cancelled_and_counted_back() {
    let world = World::new([("a", (0, Says::Never)), ("b", (10, Says::Well))]);
    let observer = Observer::default();
    let service = hedging().observer(observer.clone()).layer(world.ordered());
    let asking = tokio::spawn(service.oneshot(1));
    sleep(ms(55)).await;
    let in_flight = |id| world.pool.get(id).unwrap().in_flight();
    assert_eq!((in_flight("a"), in_flight("b")), (1, 1));
    let answer = asking.await.unwrap().unwrap();
    assert_eq!((in_flight("a"), in_flight("b")), (0, 0));
    let lost = ("a".to_owned(), Outcome::Cancelled, Some(60));
    assert_eq!(told(&answer.before), std::slice::from_ref(&lost));
    let won = ("b".to_owned(), Outcome::Success, Some(10));
    let heard = observer.heard();
    assert_eq!(heard.requests, [[lost.clone(), won.clone()]]);
    assert_eq!(heard.attempts, [(0, lost), (1, won)]);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_safe_is_hedged() {
    let world = World::new([("a", (100, Says::Well)), ("b", (0, Says::Well))]);
    let service = hedging().layer(world.ordered());
    assert_eq!(service.clone().oneshot(UNSAFE).await.unwrap().from, "a");
    assert_eq!(world.asked(), ["a"]);
    assert_eq!(service.oneshot(1).await.unwrap().from, "b");
}

#[tokio::test(start_paused = true)]
async fn a_hedge_is_one_of_the_attempts() {
    let world = World::new([("a", (60, BROKEN)), ("b", (60, BROKEN)), ("c", (0, BROKEN))]);
    for attempts in 1..5 {
        let layer = hedging().attempts(attempts).unwrap();
        let _ = layer.layer(world.ordered()).oneshot(1).await.unwrap_err();
        assert_eq!(world.asked().len(), attempts as usize);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_is_hedged_once() {
    let world = World::new([
        ("a", (0, Says::Never)),
        ("b", (0, BROKEN)),
        ("c", (0, Says::Well)),
    ]);
    let service = hedging().attempts(9).unwrap().layer(world.ordered());
    let asking = tokio::spawn(service.oneshot(1));
    sleep(ms(10_000)).await;
    assert_eq!(world.asked(), ["a", "b"]);
    asking.abort();
}
