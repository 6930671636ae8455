//! Attempts are told: by errors, by responses, and to an observer.

use std::error::Error as _;
use std::time::Duration;

use evenkeel::backend::{Failure, Outcome};
use evenkeel::retry::Hedge;
use evenkeel::{Backend, Error};
use tokio::time::timeout;
use tower::{Layer, ServiceExt};

use crate::setup::{
    BROKEN, GATEWAY, LATE, Observer, REFUSED, Says, Told, UNSAFE, World, gateway, layer, told,
};

const OTHER: Outcome = Outcome::Failure(Failure::Other);
const TIMEOUT: Outcome = Outcome::Failure(Failure::Timeout);
const CONNECT: Outcome = Outcome::Failure(Failure::Connect);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn was(name: &str, outcome: Outcome, took: u64) -> Told {
    (name.to_owned(), outcome, Some(took))
}

fn chain(error: &Error) -> Vec<String> {
    let mut told = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        told.push(cause.to_string());
        next = cause.source();
    }
    told
}

#[tokio::test(start_paused = true)]
async fn an_error_tells_of_all_attempts_in_order() {
    let world = World::new([("a", (10, BROKEN)), ("b", (20, LATE)), ("c", (30, REFUSED))]);
    let error = layer().layer(world.ordered()).oneshot(1).await.unwrap_err();
    let all = [
        was("a", OTHER, 10),
        was("b", TIMEOUT, 20),
        was("c", CONNECT, 30),
    ];
    assert_eq!(told(error.attempts()), all);
    assert_eq!(error.backend(), Some("c"));
    assert_eq!(error.failure(), Some(Failure::Connect));
    let told = "all 3 attempts failed (a: the service failed after 0.010 s, \
                b: timed out after 0.020 s, c: no connection after 0.030 s)";
    assert_eq!(chain(&error), [told, "backend c failed", "c is ill"]);
    // The last one is the same in both places.
    let Error::Retried { last, .. } = &error else {
        panic!("{error:?}")
    };
    assert_eq!(last.attempts()[0].took(), Some(ms(30)));
}

#[tokio::test(start_paused = true)]
async fn an_error_names_eight_attempts_and_counts_the_rest() {
    let world = World::new([("a", (0, BROKEN)), ("b", (0, REFUSED))]);
    let service = layer().attempts(12).unwrap().layer(world.ordered());
    let error = service.oneshot(1).await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.attempts().len(), 12);
    assert_eq!(text.matches("after").count(), 8, "{text}");
    assert!(text.ends_with("and 4 more)"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn an_error_after_the_last_attempt_is_told_as_the_last() {
    let world = World::new([("a", (10, BROKEN))]);
    let pool = world.pool.clone();
    let service = layer().layer(world.ordered().max_wait(ms(100)));
    let asking = tokio::spawn(service.oneshot(1));
    tokio::time::sleep(ms(5)).await;
    pool.remove("a");
    let error = asking.await.unwrap().unwrap_err();
    assert!(error.is_no_backend(), "{error}");
    assert_eq!(told(error.attempts()), [was("a", OTHER, 10)]);
    let one = "the only attempt failed (a: the service failed after 0.010 s)";
    let none = "no backend to send the request to: the pool is empty";
    assert_eq!(chain(&error), [one, none]);
}

#[tokio::test(start_paused = true)]
async fn a_response_tells_of_those_before_it() {
    let world = World::new([
        ("a", (1, BROKEN)),
        ("b", (2, gateway())),
        ("c", (3, Says::Well)),
    ]);
    let service = layer().layer(world.ordered());
    let answer = service.clone().oneshot(1).await.unwrap();
    let before = [was("a", OTHER, 1), was("b", GATEWAY, 2)];
    assert_eq!(told(&answer.before), before);

    // Also if it failed.
    world.says("c", [(3, gateway())]);
    let answer = service.oneshot(1).await.unwrap();
    assert_eq!((answer.from, told(&answer.before)), ("c", before.to_vec()));
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_of_each_attempt_and_request_once() {
    let world = World::new([
        ("a", (1, Says::Well)),
        ("b", (2, gateway())),
        ("c", (3, LATE)),
    ]);
    let observer = Observer::default();
    let service = layer().observer(observer.clone()).layer(world.ordered());
    let all = [
        // What is said first by a; what is heard.
        (1, (1, Says::Well), vec![was("a", Outcome::Success, 1)]),
        (UNSAFE, (1, BROKEN), vec![was("a", OTHER, 1)]),
        (UNSAFE, (1, gateway()), vec![was("a", GATEWAY, 1)]),
        (
            1,
            (1, BROKEN),
            vec![
                was("a", OTHER, 1),
                was("b", GATEWAY, 2),
                was("c", TIMEOUT, 3),
            ],
        ),
    ];
    for (request, says, expected) in all {
        world.says("a", [says]);
        let _ = service.clone().oneshot(request).await;
        let heard = observer.heard();
        assert_eq!(heard.requests, std::slice::from_ref(&expected));
        let numbered: Vec<_> = expected.into_iter().enumerate().collect();
        assert_eq!(heard.attempts, numbered);
    }

    world.says("a", [(1, BROKEN)]);
    world.says("b", [(2, Says::Well)]);
    let _ = service.oneshot(1).await;
    let expected = [was("a", OTHER, 1), was("b", Outcome::Success, 2)];
    assert_eq!(observer.heard().requests, [expected]);
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_told_of_requests_that_were_dropped() {
    let world = World::new([
        ("a", (10, BROKEN)),
        ("b", (0, Says::Never)),
        ("c", (0, Says::Never)),
    ]);
    let observer = Observer::default();
    let hedge = Hedge::after(ms(20));
    let service = layer().observer(observer.clone()).hedge(hedge);
    let service = service.layer(world.ordered());
    let _ = timeout(ms(15), service.clone().oneshot(1))
        .await
        .unwrap_err();
    let expected = [was("a", OTHER, 10), was("b", Outcome::Cancelled, 5)];
    assert_eq!(observer.heard().requests, [expected]);

    let _ = timeout(ms(40), service.clone().oneshot(1))
        .await
        .unwrap_err();
    let expected = [
        was("a", OTHER, 10),
        was("b", Outcome::Cancelled, 30),
        was("c", Outcome::Cancelled, 10),
    ];
    assert_eq!(observer.heard().requests, [expected]);

    // One that no backend had, and one that was never polled.
    for id in ["a", "b", "c"] {
        world.pool.drain(id);
    }
    let _ = timeout(ms(10), service.clone().oneshot(1))
        .await
        .unwrap_err();
    let heard = observer.heard();
    assert_eq!((heard.requests, heard.attempts), (vec![vec![]], vec![]));
    world.pool.undrain("b");
    drop(tower::Service::call(&mut service.clone(), 1));
    let expected = [was("b", Outcome::Cancelled, 0)];
    assert_eq!(observer.heard().requests, [expected]);
    assert_eq!(world.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_the_deadline_has_ended_is_told() {
    let world = World::new([
        ("a", (10, BROKEN)),
        ("b", (0, Says::Never)),
        ("c", (0, Says::Never)),
    ]);
    let observer = Observer::default();
    let service = layer().total_time(ms(100)).observer(observer.clone());
    let one = service.clone().layer(world.ordered());
    let hedging = service.hedge(Hedge::after(ms(20))).layer(world.ordered());
    for (service, hedged) in [
        (one, None),
        (hedging, Some(was("c", Outcome::Cancelled, 70))),
    ] {
        let error = service.oneshot(1).await.unwrap_err();
        assert!(error.is_deadline_exceeded(), "{error}");
        let mut expected = vec![was("a", OTHER, 10), was("b", Outcome::Cancelled, 90)];
        expected.extend(hedged);
        assert_eq!(observer.heard().requests, [expected.clone()]);
        assert_eq!(told(error.attempts()), expected);
        assert_eq!(chain(&error)[1], "the request's deadline has passed");
    }
    assert_eq!(world.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_closure_is_an_observer_of_requests() {
    let world = World::new([("a", (0, BROKEN))]);
    world.pool.insert(Backend::new("b", world.server("a")));
    let counted = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&counted);
    let layer = layer().observer(move |attempts: &[evenkeel::balance::Attempted]| {
        count.fetch_add(attempts.len(), std::sync::atomic::Ordering::Relaxed);
    });
    let _ = layer.layer(world.ordered()).oneshot(1).await;
    assert_eq!(counted.load(std::sync::atomic::Ordering::Relaxed), 3);
}
