//! Too few healthy, and all are used.

use std::convert::Infallible;

use evenkeel::backend::{BackendInfo, Failure, Outcome, State};
use evenkeel::balance::Attempt;
use evenkeel::health::{Ejection, Health};
use evenkeel::picker::NoBackend;
use evenkeel::set::{Rules, SlowStart};
use evenkeel::{Backend, Balance, Error, Pool};
use tower::{ServiceExt, service_fn};

use crate::setup::{Says, Table, at_once, pool, probed, requests, selector, settle, start, state};

fn threshold(share: f64) -> Rules {
    Rules::new().panic_threshold(share).unwrap()
}

fn eligible<T: Clone>(pool: &Pool<T>) -> Vec<String> {
    let list = pool.list().into_iter().filter(BackendInfo::is_eligible);
    list.map(|info| info.id().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_pool_panics_below_half_and_not_at_half_and_calms_down_again() {
    let (pool, table) = (pool(4), Table::new());
    let _watching = table.watch(&pool);
    let mut events = pool.events();
    let mut panics = move || {
        let events = std::iter::from_fn(|| events.try_next());
        let panics = events.filter(|event| event.backend().is_none());
        panics.map(|event| event.to_string()).collect::<Vec<_>>()
    };
    table.set(0, Says::Down);
    table.set(1, Says::Down);
    probed().await;
    assert!(!pool.status().is_in_panic());
    assert_eq!(eligible(&pool), ["2", "3"]);
    assert!(panics().is_empty());

    table.set(2, Says::Down);
    probed().await;
    let status = pool.status();
    assert!(status.is_in_panic() && status.tiers()[0].is_in_panic());
    assert_eq!(
        (status.healthy(), status.count_of(State::Unhealthy)),
        (1, 3)
    );
    assert_eq!(
        status.to_string(),
        "4 backends: 1 healthy, 3 unhealthy, tier 0 in panic"
    );
    assert_eq!(eligible(&pool), ["0", "1", "2", "3"]);
    let selector = selector(&pool);
    let picked: Vec<_> = (0..4).map(|_| selector.select(&()).unwrap().0).collect();
    assert_eq!(picked, [0, 1, 2, 3]);
    assert_eq!(panics(), ["tier 0: panic"]);

    table.set(3, Says::Down);
    probed().await;
    assert_eq!(eligible(&pool), ["0", "1", "2", "3"]);
    assert!(panics().is_empty());

    table.set(0, Says::Well);
    table.set(3, Says::Well);
    probed().await;
    assert!(!pool.status().is_in_panic());
    assert_eq!(eligible(&pool), ["0", "3"]);
    assert_eq!(panics(), ["tier 0: no more panic"]);
}

#[tokio::test(start_paused = true)]
async fn the_threshold_is_a_setting_that_holds_at_once() {
    let (pool, table) = (pool(10), Table::new());
    let _watching = table.watch(&pool);
    for id in 0..4 {
        table.set(id, Says::Down);
    }
    probed().await;
    // 6 of 10 are an availability of 0.84.
    for (share, panic) in [
        (0.6, false),
        (0.61, true),
        (0.0, false),
        (1.0, true),
        (0.5, false),
    ] {
        pool.set_rules(threshold(share));
        assert_eq!(pool.status().is_in_panic(), panic, "{share}");
        assert_eq!(eligible(&pool).len(), if panic { 10 } else { 6 }, "{share}");
    }
    // 8 of 10 can take everything, so there is no reason to.
    table.set(0, Says::Well);
    table.set(1, Says::Well);
    probed().await;
    pool.set_rules(threshold(1.0));
    assert!(!pool.status().is_in_panic());
}

#[tokio::test(start_paused = true)]
async fn panic_never_brings_back_what_an_operator_took_out() {
    let (pool, table) = (pool(6), Table::new());
    let _watching = table.watch(&pool);
    pool.force_down("0");
    pool.drain("1");
    pool.set_weight("2", 0);
    for id in 0..6 {
        table.set(id, Says::Down);
    }
    probed().await;
    assert!(pool.status().is_in_panic());
    assert_eq!(eligible(&pool), ["3", "4", "5"]);

    pool.force_down("3");
    pool.drain("4");
    assert_eq!(eligible(&pool), ["5"]);
    pool.set_weight("5", 0);
    assert_eq!(eligible(&pool), [""; 0]);
    let error = selector(&pool).select(&()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "none is eligible (0: forced down, 1: draining, 2: weight 0, 3: forced down, \
         4: draining, 5: weight 0)"
    );
}

#[tokio::test(start_paused = true)]
async fn those_that_are_held_do_not_count_for_the_threshold() {
    let (pool, table) = (pool(6), Table::new());
    let _watching = table.watch(&pool);
    table.set(0, Says::Down);
    table.set(1, Says::Down);
    table.set(2, Says::Down);
    probed().await;
    assert!(!pool.status().is_in_panic());
    // 2 of 5 are healthy, then 2 of 4 again.
    pool.drain("5");
    assert!(pool.status().is_in_panic());
    pool.force_down("0");
    assert!(!pool.status().is_in_panic());
    pool.force_down("4");
    assert!(pool.status().is_in_panic());
    // One that is forced up is healthy.
    pool.force_up("1");
    assert!(!pool.status().is_in_panic());
    assert_eq!(eligible(&pool), ["1", "3"]);
}

#[tokio::test(start_paused = true)]
async fn a_threshold_of_zero_turns_it_off_and_the_error_names_the_states() {
    let (pool, table) = (pool(3), Table::new());
    pool.set_rules(threshold(0.0));
    let ejection = Ejection::new().failures_in_a_row(1).unwrap();
    let health = table.health(at_once()).ejection(ejection);
    let _watching = health.spawn(&pool);
    requests(&pool, "2", 1, Outcome::Failure(Failure::Connect));
    settle().await;
    table.set(0, Says::Down);
    table.set(1, Says::Down);
    probed().await;
    assert!(!pool.status().is_in_panic());
    let error = selector(&pool).select(&()).unwrap_err();
    assert!(matches!(error, NoBackend::NoneEligible { members: 3, .. }));
    assert_eq!(
        error.to_string(),
        "none is eligible (0: unhealthy, 1: unhealthy, 2: ejected)"
    );
}

#[tokio::test(start_paused = true)]
async fn in_panic_nobody_starts_slowly() {
    let (pool, table) = (pool(5), Table::new());
    let window = std::time::Duration::from_secs(60);
    pool.set_rules(Rules::new().slow_start(SlowStart::new(window).unwrap()));
    let _watching = table.watch(&pool);
    tokio::time::sleep(window).await;
    for id in 0..3 {
        table.set(id, Says::Down);
    }
    probed().await;
    assert!(pool.status().is_in_panic());
    pool.insert(Backend::new("new", 5));
    table.set(3, Says::Down);
    probed().await;
    assert!(pool.status().is_in_panic());
    let selector = selector(&pool);
    let picked: Vec<_> = (0..6).map(|_| selector.select(&()).unwrap().0).collect();
    assert_eq!(picked, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn the_unchecked_of_the_beginning_count_and_those_who_join_later_do_not() {
    let (pool, table) = (pool(5), Table::new());
    for id in 0..5 {
        table.set(id, Says::Nothing);
    }
    let settings = at_once()
        .timeout(std::time::Duration::from_millis(5))
        .unwrap();
    // It takes so many failures that they stay unchecked.
    let _watching = table
        .health(settings.fall(100_000).unwrap().gated())
        .spawn(&pool);
    probed().await;
    assert_eq!(pool.status().count_of(State::Unchecked), 5);
    assert_eq!(eligible(&pool).len(), 5);

    // Two of five are known to be well, which is not enough for all of the load.
    table.set(0, Says::Well);
    table.set(1, Says::Well);
    probed().await;
    assert!(pool.status().is_in_panic());
    assert_eq!(eligible(&pool).len(), 5);
    // Three are.
    table.set(2, Says::Well);
    probed().await;
    assert!(!pool.status().is_in_panic());
    assert_eq!(eligible(&pool), ["0", "1", "2"]);

    // However many join.
    for id in 5..25 {
        table.set(id, Says::Nothing);
        pool.insert(evenkeel::Backend::new(id.to_string(), id));
    }
    probed().await;
    assert!(!pool.status().is_in_panic());
    assert_eq!(eligible(&pool), ["0", "1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_is_used_unchecked_while_panic_is_off() {
    let (pool, table) = (pool(2), Table::new());
    pool.set_rules(threshold(0.0));
    table.set(0, Says::Nothing);
    table.set(1, Says::Nothing);
    let _watching = table.health(at_once().gated()).spawn(&pool);
    probed().await;
    let error = selector(&pool).select(&()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "none is eligible (0: unchecked, 1: unchecked)"
    );
}

#[tokio::test(start_paused = true)]
async fn degraded_backends_count_as_usable() {
    let (pool, table) = (pool(4), Table::new());
    let _watching = table.watch(&pool);
    table.set(0, Says::Down);
    table.set(1, Says::Down);
    table.set(2, Says::Degraded);
    table.set(3, Says::Degraded);
    probed().await;
    assert!(!pool.status().is_in_panic());
    assert_eq!(eligible(&pool), ["2", "3"]);
    table.set(3, Says::Down);
    probed().await;
    assert!(pool.status().is_in_panic());
    assert_eq!(eligible(&pool).len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_request_for_an_ejected_backend_alone_fails_with_its_state_except_in_panic() {
    let echo = service_fn(|request: u32| async move { Ok::<_, Infallible>(request) });
    let pool: Pool<_> = ["a", "b", "c"].map(|id| Backend::new(id, echo)).into();
    let _watching = Health::new().spawn(&pool);
    let attempts = Balance::round_robin(pool.clone()).attempts();
    let a = pool.get("a").unwrap().handle();
    for _ in 0..5 {
        start(&pool, "a").finish(Outcome::Failure(Failure::Connect));
    }
    settle().await;
    assert_eq!(state(&pool, "a"), State::Ejected);
    let error = attempts.clone().oneshot(Attempt::new(1).only(a)).await;
    let Err(Error::NoBackend(NoBackend::Out { backend, state, .. })) = error else {
        panic!("{error:?}");
    };
    assert_eq!((&*backend, state), ("a", State::Ejected));
    // Bound less strictly, it goes elsewhere.
    assert_eq!(
        attempts
            .clone()
            .oneshot(Attempt::new(2).to(a))
            .await
            .unwrap(),
        2
    );

    pool.set_rules(threshold(1.0));
    assert!(pool.status().is_in_panic(), "{}", pool.status());
    assert_eq!(attempts.oneshot(Attempt::new(3).only(a)).await.unwrap(), 3);
}
