//! A retry goes to a backend that has not had the request, while there is one.

use std::collections::BTreeSet;
use std::time::Duration;

use evenkeel::backend::{Failure, Outcome};
use evenkeel::balance::Attempt;
use evenkeel::health::{Ejection, Health};
use evenkeel::picker::hash::{HashAlgorithm, Keyed, key_of};
use evenkeel::picker::{Algorithm, NoBackend, RoundRobin, Selector};
use evenkeel::set::Rules;
use evenkeel::{Backend, BackendSet, Balance, Error, Pool};
use tokio::time::sleep;
use tower::{Layer, ServiceExt};

use crate::setup::{BROKEN, ByAnswer, Lb, REFUSED, Says, World, layer, seed};

const NAMES: [&str; 7] = ["a", "b", "c", "d", "e", "f", "g"];

fn all_broken() -> World {
    World::new(NAMES.map(|name| (name, (0, BROKEN))))
}

/// Each of `members` once, and no other, at as many attempts as there are.
async fn each_has_it_once(balance: Lb, members: &[&str], world: &World, what: &str) {
    let service = layer().attempts(members.len() as u32).unwrap();
    let service = service.layer(balance);
    for request in 0..50 {
        let error = service.clone().oneshot(request).await.unwrap_err();
        assert_eq!(error.attempts().len(), members.len(), "{what}: {error}");
        let asked: BTreeSet<_> = world.asked().into_iter().collect();
        assert_eq!(asked, members.iter().copied().collect(), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_picker_sends_a_request_twice_to_one_while_another_is_eligible() {
    let seed = seed();
    for &algorithm in Algorithm::ALL {
        let world = all_broken();
        let balance = Balance::new(world.pool.clone(), algorithm.picker());
        let balance = balance.seed(seed).track(ByAnswer);
        each_has_it_once(balance, &NAMES, &world, &algorithm.to_string()).await;
    }
    for &algorithm in HashAlgorithm::ALL {
        let world = all_broken();
        let key = key_of(|request: &u64| Some((*request).into()));
        let balance = Balance::new(world.pool.clone(), Keyed::new(algorithm, key));
        let balance = balance.seed(seed).track(ByAnswer);
        each_has_it_once(balance, &NAMES, &world, &algorithm.to_string()).await;
    }
}

/// Who would get it if those that were tried were out.
#[tokio::test(start_paused = true)]
async fn a_retry_goes_to_the_keys_next_choice() {
    for &algorithm in HashAlgorithm::ALL {
        let world = all_broken();
        let key = || key_of(|request: &u64| Some((*request).into()));
        let picker = || Keyed::new(algorithm, key());
        let balance = Balance::new(world.pool.clone(), picker()).track(ByAnswer);
        let service = layer().attempts(3).unwrap().layer(balance);
        let pool: Pool<&str> = NAMES.map(|name| Backend::new(name, name)).into();
        let choice = Selector::new(pool.clone(), picker());
        for request in (0..1000).step_by(19) {
            let _ = service.clone().oneshot(request).await.unwrap_err();
            let asked = world.asked();
            for name in &asked {
                let (next, _) = choice.select(&request).unwrap();
                assert_eq!(next, *name, "{algorithm} {request}: {asked:?}");
                pool.drain(name);
            }
            for name in &asked {
                assert!(pool.undrain(name));
            }
        }
    }
}

/// Each part of the requests has its list, and a retry looks through all of them.
#[tokio::test(start_paused = true)]
async fn a_retry_leaves_its_tier_when_all_there_have_had_it() {
    let world = World::empty();
    world
        .pool
        .set_rules(Rules::new().overprovisioning(1.0).unwrap());
    for (at, name) in NAMES.into_iter().enumerate() {
        world.says(name, [(0, BROKEN)]);
        let backend = Backend::new(name, world.server(name));
        world.pool.insert(backend.priority(u32::from(at >= 4)));
    }
    let _watching = Health::new().ejection(Ejection::new()).spawn(&world.pool);
    for _ in 0..5 {
        let is_a = |set: &dyn BackendSet| (0..set.len()).find(|&rank| set.id(rank) == "a");
        let (_, completion) = world.pool.start(is_a).unwrap();
        completion.finish(Outcome::Failure(Failure::Response));
    }
    sleep(Duration::from_millis(10)).await;
    assert_eq!(world.pool.status().ejected(), 1);
    let balance = Balance::new(world.pool.clone(), RoundRobin::new());
    let balance = balance.seed(seed()).track(ByAnswer);
    each_has_it_once(balance, &NAMES[1..], &world, "tiers").await;
}

/// A tier that is not used is none that is eligible.
#[tokio::test(start_paused = true)]
async fn a_retry_does_not_go_to_a_backup_that_is_not_in_use() {
    let world = World::empty();
    for (at, name) in ["a", "b", "c"].into_iter().enumerate() {
        world.says(name, [(0, BROKEN)]);
        let backend = Backend::new(name, world.server(name));
        world.pool.insert(backend.priority(u32::from(at == 2)));
    }
    let service = layer().layer(world.ordered());
    let _ = service.clone().oneshot(1).await.unwrap_err();
    assert_eq!(world.asked(), ["a", "b", "a"]);
    world.pool.drain("a");
    let _ = service.clone().oneshot(1).await.unwrap_err();
    assert_eq!(world.asked(), ["b"; 3]);
    world.pool.drain("b");
    let _ = service.oneshot(1).await.unwrap_err();
    assert_eq!(world.asked(), ["c"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_leaves_its_zone_when_all_there_have_had_it() {
    let world = World::empty();
    world.pool.set_rules(
        Rules::new()
            .local_zone("near")
            .callers([("near", 0.6), ("far", 0.4)])
            .unwrap(),
    );
    for (at, name) in NAMES.into_iter().enumerate() {
        world.says(name, [(0, BROKEN)]);
        let zone = if at < 3 { "near" } else { "far" };
        let backend = Backend::new(name, world.server(name));
        world.pool.insert(backend.zone(zone));
    }
    let balance = Balance::new(world.pool.clone(), RoundRobin::new());
    let balance = balance.seed(seed()).track(ByAnswer);
    each_has_it_once(balance, &NAMES, &world, "zones").await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_does_not_go_to_those_that_are_drained() {
    let world = all_broken();
    world.pool.drain("b");
    world.pool.set_weight("d", 0);
    let balance = Balance::new(world.pool.clone(), RoundRobin::new()).track(ByAnswer);
    each_has_it_once(balance, &["a", "c", "e", "f", "g"], &world, "drained").await;
}

#[tokio::test(start_paused = true)]
async fn where_nobody_else_is_left_the_one_that_had_it_gets_it_again() {
    let world = World::new([("a", (0, REFUSED)), ("b", (0, BROKEN))]);
    let service = layer().attempts(5).unwrap().layer(world.ordered());
    let error = service.clone().oneshot(1).await.unwrap_err();
    assert_eq!(error.attempts().len(), 5);
    assert_eq!(world.asked(), ["a", "b", "a", "a", "a"]);

    world.pool.drain("b");
    let _ = service.clone().oneshot(2).await.unwrap_err();
    assert_eq!(world.asked(), ["a"; 5]);

    // One that joins meanwhile is preferred.
    world.says("c", [(0, Says::Well)]);
    let asking = tokio::spawn(service.oneshot(3));
    sleep(Duration::from_millis(1)).await;
    assert_eq!(world.asked(), ["a", "a"]);
    world.pool.insert(Backend::new("c", world.server("c")));
    assert_eq!(asking.await.unwrap().unwrap().from, "c");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_strict_fails_at_once_rather_than_go_to_one_that_had_it() {
    let world = World::new([("a", (0, Says::Well)), ("b", (0, Says::Well))]);
    let handle = |id| world.pool.get(id).unwrap().handle();
    let attempts = world.ordered().attempts();
    let not_on_a = Attempt::new(1).not_on(handle("a")).strictly();
    let answer = attempts.clone().oneshot(not_on_a.clone()).await.unwrap();
    assert_eq!(answer.from, "b");

    world.pool.drain("b");
    let error = attempts.clone().oneshot(not_on_a).await.unwrap_err();
    assert!(error.is_no_backend(), "{error}");
    assert_eq!(world.now(), 0, "it did not wait");
    // Without it, the other way round.
    let not_on_a = Attempt::new(1).not_on(handle("a"));
    assert_eq!(attempts.oneshot(not_on_a).await.unwrap().from, "a");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_only_go_to_one_is_retried_there() {
    let world = World::new([("a", (0, Says::Well)), ("b", (0, BROKEN))]);
    let b = world.pool.get("b").unwrap().handle();
    let attempts = layer().layer(world.ordered()).attempts();
    let only = Attempt::new(1).only(b);
    let error = attempts.clone().oneshot(only.clone()).await.unwrap_err();
    assert_eq!(error.attempts().len(), 3);
    assert_eq!(world.asked(), ["b"; 3]);

    // What it prefers is only where it goes first.
    let answer = attempts.clone().oneshot(Attempt::new(2).to(b)).await;
    assert_eq!(answer.unwrap().from, "a");
    assert_eq!(world.asked(), ["b", "a"]);

    // It may be drained, but not gone.
    world.pool.drain("b");
    let error = attempts.clone().oneshot(only.clone()).await.unwrap_err();
    assert_eq!(error.attempts().len(), 3);
    world.pool.remove("b");
    let error = attempts.oneshot(only).await.unwrap_err();
    assert!(
        matches!(error, Error::NoBackend(NoBackend::Gone)),
        "{error}"
    );
}

/// What an attempt asks for goes for all that are made at it.
#[tokio::test(start_paused = true)]
async fn what_an_attempt_has_tried_before_is_not_tried_by_its_retries() {
    let world = World::new([
        ("a", (0, Says::Well)),
        ("b", (0, BROKEN)),
        ("c", (0, Says::Well)),
    ]);
    let a = world.pool.get("a").unwrap().handle();
    let attempts = layer().layer(world.ordered()).attempts();
    let answer = attempts.clone().oneshot(Attempt::new(1).not_on(a)).await;
    assert_eq!(answer.unwrap().from, "c");

    world.pool.drain("c");
    world.asked();
    let strictly = Attempt::new(2).not_on(a).strictly();
    let error = attempts.oneshot(strictly).await.unwrap_err();
    assert!(error.is_no_backend(), "{error}");
    assert_eq!(world.asked(), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_connect_is_passed_over_and_not_asked_in_vain_again() {
    #[derive(Clone)]
    struct Closed;
    impl tower::Service<u64> for Closed {
        type Response = ();
        type Error = std::io::Error;
        type Future = std::future::Ready<Result<(), std::io::Error>>;
        fn poll_ready(
            &mut self,
            _cx: &mut std::task::Context<'_>,
        ) -> std::task::Poll<std::io::Result<()>> {
            std::task::Poll::Ready(Err(std::io::ErrorKind::ConnectionRefused.into()))
        }
        fn call(&mut self, _request: u64) -> Self::Future {
            unreachable!("it is never ready")
        }
    }
    let pool = Pool::from([Backend::new("a", Closed), Backend::new("b", Closed)]);
    let budget = crate::setup::tokens(2);
    let service = layer().budget(budget.clone());
    let service = service.layer(Balance::round_robin(pool));
    let error = service.oneshot(1).await.unwrap_err();
    assert_eq!(error.passed_over().len(), 2, "{error}");
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(
        budget.available() >= 2.0,
        "nobody took it, so it is not retried"
    );
}
