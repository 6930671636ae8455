//! After what time a second attempt is made.

use std::time::Duration;

use evenkeel::retry::{Hedge, RetryLayer};
use tokio::time::{sleep, timeout};
use tower::{Layer, ServiceExt};

use crate::setup::{BROKEN, Says, World, layer};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn hedging() -> RetryLayer<fn(&u64) -> bool> {
    layer().hedge(Hedge::after(ms(50)))
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_pending_is_given_the_whole_delay_a_retry_too() {
    let world = World::new([
        ("a", (40, BROKEN)),
        ("b", (45, Says::Well)),
        ("c", (0, Says::Well)),
    ]);
    let service = hedging().layer(world.ordered());
    assert_eq!(service.clone().oneshot(1).await.unwrap().from, "b");
    assert_eq!(world.asked(), ["a", "b"]);

    world.says("b", [(60, Says::Well)]);
    let answer = service.oneshot(2).await.unwrap();
    assert_eq!(answer.from, "c");
    let [a, b, c] = world.log()[..] else {
        panic!("{:?}", world.log())
    };
    assert_eq!((b.at - a.at, c.at - b.at), (40, 50));
}

#[tokio::test(start_paused = true)]
async fn a_percentile_is_learnt_and_until_then_nothing_is_hedged() {
    let world = World::new([("a", (20, Says::Well)), ("b", (1, Says::Well))]);
    let layer = layer().hedge(Hedge::percentile(0.9).unwrap());
    let service = layer.layer(world.ordered());
    for request in 0..100 {
        let answer = service.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.from, "a");
    }
    assert_eq!(world.asked().len(), 100);
    world.says("a", [(1000, Says::Well)]);
    let answer = service.clone().oneshot(100).await.unwrap();
    assert_eq!(answer.from, "b");
    let log = world.log();
    let delay = log[1].at - log[0].at;
    assert!((20..=22).contains(&delay), "{delay} ms of 20 and a 16th");
    // All that are slow are hedged and cancelled, which is how long they take at the least.
    let (before, mut delay) = (delay, 0);
    for _ in 0..200 {
        world.asked();
        sleep(ms(100)).await;
        let _ = service.clone().oneshot(101).await;
        let log = world.log();
        delay = log[1].at - log[0].at;
    }
    assert!(delay > before, "{delay} ms");
}

/// Those that nobody waits for any more, or that the deadline has ended, are the slowest.
#[tokio::test(start_paused = true)]
async fn a_percentile_learns_from_requests_that_were_given_up() {
    for dropped in [true, false] {
        let world = World::new([("a", (0, Says::Never)), ("b", (0, Says::Well))]);
        let mut layer = layer().hedge(Hedge::percentile(0.5).unwrap());
        if !dropped {
            layer = layer.total_time(ms(80));
        }
        let learning = layer.clone().layer(world.ordered());
        for request in 0..100 {
            let most = ms(if dropped { 80 } else { 1000 });
            let _ = timeout(most, learning.clone().oneshot(request)).await;
        }
        world.asked();
        let service = layer.total_time(ms(1000)).layer(world.ordered());
        let answer = service.oneshot(100).await.unwrap();
        assert_eq!(answer.from, "b");
        let log = world.log();
        assert!((80..=86).contains(&(log[1].at - log[0].at)), "{log:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_has_a_least() {
    let world = World::new([("a", (0, Says::Never)), ("b", (0, Says::Well))]);
    let layer = layer().hedge(Hedge::after(ms(5)).minimum(ms(30)));
    assert_eq!(
        layer.layer(world.ordered()).oneshot(1).await.unwrap().from,
        "b"
    );
    assert_eq!(world.now(), 30);
}

#[test]
fn a_share_that_is_none_is_refused() {
    for share in [0.0, 0.49, 0.99991, 1.0, 95.0, -1.0, f64::NAN] {
        assert!(Hedge::percentile(share).is_err(), "{share}");
    }
    for share in [0.5, 0.9999] {
        assert!(Hedge::percentile(share).is_ok(), "{share}");
    }
}
