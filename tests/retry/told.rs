//! What a backend asks for that is left alone for a time, and for how long that is waited for.

use std::time::Duration;

use evenkeel::balance::Head;
use evenkeel::retry::Hedge;
use evenkeel::{Backend, Backoff};
use tokio::time::sleep;
use tower::{Layer, ServiceExt};

use crate::setup::{BROKEN, GATEWAY, Says, World, gateway, layer, tokens};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const DAY: u64 = 86_400_000;
/// The longest that is waited for.
const LONGEST: u64 = 10_000;

/// By `Retry-After`: this backend is to be left alone.
fn spare(millis: u64) -> Says {
    Says::Head(GATEWAY, Head::failed(GATEWAY).retry_after(ms(millis)))
}

/// By a pushback: whoever is asked next.
fn push_back(time: Duration) -> Says {
    let head = Head::failed(GATEWAY).retry_after(time);
    Says::Head(GATEWAY, head.anywhere())
}

/// Who was asked, and when.
fn asked(world: &World) -> Vec<(&'static str, u64)> {
    let log = world.log();
    log.iter().map(|asked| (asked.name, asked.at)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_one_backend_asks_for_holds_up_no_retry_on_another() {
    for wait in [700, LONGEST + 1, DAY] {
        let world = World::new([("a", (0, spare(wait))), ("b", (0, Says::Well))]);
        let answer = layer().layer(world.ordered()).oneshot(1).await.unwrap();
        assert_eq!((answer.from, world.now()), ("b", 0), "{wait} ms");
    }
    // Nor is there less time left than it asks for.
    let world = World::new([("a", (0, spare(700))), ("b", (0, Says::Well))]);
    let service = layer().total_time(ms(100)).layer(world.ordered());
    assert_eq!(service.oneshot(1).await.unwrap().from, "b");
    // Nor if a hedge has run meanwhile.
    let world = World::new([
        ("a", (60, spare(700))),
        ("b", (70, gateway())),
        ("c", (0, Says::Well)),
    ]);
    let layer = layer().hedge(Hedge::after(ms(50)));
    let backoff = Backoff::new(ms(1), ms(1)).unwrap();
    let service = layer.backoff(backoff).layer(world.ordered());
    assert_eq!(service.oneshot(1).await.unwrap().from, "c");
    assert!(world.now() <= 122, "{} ms", world.now());
}

#[tokio::test(start_paused = true)]
async fn where_nobody_else_is_left_it_is_waited_for() {
    // Alone.
    let world = World::empty();
    world.says("a", [(0, spare(700)), (0, Says::Well)]);
    world.pool.insert(Backend::new("a", world.server("a")));
    let service = layer().layer(world.ordered());
    assert_eq!(service.clone().oneshot(1).await.unwrap().from, "a");
    assert_eq!(asked(&world), [("a", 0), ("a", 700)]);

    // Another one is out.
    let world = World::empty();
    world.says("a", [(0, spare(700)), (0, Says::Well)]);
    world.says("b", [(0, Says::Well)]);
    for name in ["a", "b"] {
        world.pool.insert(Backend::new(name, world.server(name)));
    }
    world.pool.drain("b");
    let service = layer().layer(world.ordered());
    assert_eq!(service.oneshot(1).await.unwrap().from, "a");
    assert_eq!(asked(&world), [("a", 0), ("a", 700)]);
}

/// And nothing is paid for a retry that there is not.
#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_ten_seconds_for_what_a_backend_asks() {
    let is_waited_for = async |says, backends: &[&'static str]| {
        let world = World::empty();
        for &name in backends {
            world.says(name, [(0, says), (0, Says::Well)]);
            world.pool.insert(Backend::new(name, world.server(name)));
        }
        let budget = tokens(1);
        let service = layer().budget(budget.clone()).layer(world.ordered());
        let answer = service.oneshot(1).await.unwrap();
        let waited = world.asked().len() == 2;
        assert_eq!(answer.outcome == GATEWAY, !waited, "the response as it is");
        assert_eq!(budget.available() >= 1.0, !waited);
        assert_eq!(world.now() == 0, !waited);
        waited
    };
    for (wait, waits) in [
        (ms(1), true),
        (ms(LONGEST), true),
        (ms(LONGEST + 1), false),
        (ms(DAY), false),
        (Duration::MAX, false),
    ] {
        let alone = Head::failed(GATEWAY).retry_after(wait);
        let alone = Says::Head(GATEWAY, alone);
        assert_eq!(is_waited_for(alone, &["a"]).await, waits, "{wait:?}");
        let pushback = push_back(wait);
        assert_eq!(is_waited_for(pushback, &["a"]).await, waits, "{wait:?}");
    }
}

/// Who had failed before is not who asks now.
#[tokio::test(start_paused = true)]
async fn what_is_waited_for_is_what_the_last_attempt_was_told() {
    let world = World::new([
        ("a", (0, push_back(ms(300)))),
        ("b", (0, BROKEN)),
        ("c", (0, Says::Well)),
    ]);
    let backoff = Backoff::new(ms(1), ms(1)).unwrap();
    let service = layer().backoff(backoff).layer(world.ordered());
    assert_eq!(service.oneshot(1).await.unwrap().from, "c");
    let asked = asked(&world);
    assert_eq!(asked[1], ("b", 300));
    assert!(asked[2].1 <= 302, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_joins_while_a_retry_waits_for_another_is_asked_then() {
    let world = World::new([("a", (0, spare(700)))]);
    let asking = tokio::spawn(layer().layer(world.ordered()).oneshot(1));
    sleep(ms(100)).await;
    world.says("b", [(0, Says::Well)]);
    world.pool.insert(Backend::new("b", world.server("b")));
    assert_eq!(asking.await.unwrap().unwrap().from, "b");
    assert!(world.now() <= 701, "{} ms", world.now());
}
