//! When a watch begins and ends, and what is left of what it knew.

use std::time::Duration;

use evenkeel::backend::{Outcome, State};
use evenkeel::health::{Ended, Health, Target};
use evenkeel::{Backend, Pool};
use tokio::time::{sleep, timeout};

use crate::setup::{
    FAILURE, Says, Table, at_once, every, exact, pool, probed, requests, settle, start, state,
};

const SOON: Duration = Duration::from_millis(2);

#[tokio::test(start_paused = true)]
async fn a_watch_ends_as_soon_as_the_pool_is_dropped_and_probes_nobody_any_more() {
    let (pool, table) = (pool(3), Table::new());
    let watching = table.health(at_once()).spawn(&pool);
    probed().await;
    drop(pool);
    assert_eq!(timeout(SOON, watching).await.unwrap(), Ended::PoolDropped);
    let asked = table.asked().len();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(table.asked().len(), asked);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_with_the_pool_even_while_a_probe_hangs() {
    let (pool, table) = (pool(3), Table::new());
    table.set(1, Says::Nothing);
    let watching = table.health(every(Duration::from_secs(5))).spawn(&pool);
    settle().await;
    drop(pool);
    let ended = timeout(SOON, watching).await.unwrap();
    assert_eq!(ended, Ended::PoolDropped);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_as_soon_as_another_takes_its_place_and_what_it_knew_is_kept() {
    let (pool, table) = (pool(5), Table::new());
    table.set(1, Says::Down);
    table.set(2, Says::Degraded);
    let ejection = || exact().max_ejected(0.5).unwrap();
    let health = || table.health(at_once()).ejection(ejection());
    let first = health().spawn(&pool);
    requests(&pool, "0", 5, FAILURE);
    probed().await;
    let states = || ["0", "1", "2", "3"].map(|id| state(&pool, id));
    let known = [
        State::Ejected,
        State::Unhealthy,
        State::Degraded,
        State::Healthy,
    ];
    assert_eq!(states(), known);

    let mut events = pool.events();
    let second = health().spawn(&pool);
    assert_eq!(timeout(SOON, first).await.unwrap(), Ended::Replaced);
    probed().await;
    assert_eq!(states(), known);
    assert!(events.try_next().is_none());
    // The new one takes back what the old one took out.
    sleep(Duration::from_secs(31)).await;
    assert_eq!(state(&pool, "0"), State::Trial);
    table.set(1, Says::Well);
    probed().await;
    assert_eq!(state(&pool, "1"), State::Healthy);
    drop(second);
}

#[tokio::test(start_paused = true)]
async fn dropping_a_watch_forgets_what_it_knew() {
    let (pool, table) = (pool(6), Table::new());
    table.set(1, Says::Down);
    table.set(2, Says::Degraded);
    table.set(3, Says::Nothing);
    let ejection = exact().max_ejected(0.5).unwrap();
    let watching = table
        .health(at_once().gated())
        .ejection(ejection)
        .spawn(&pool);
    probed().await;
    let mut degraded = start(&pool, "4");
    requests(&pool, "0", 5, FAILURE);
    degraded.degraded();
    degraded.finish(Outcome::Success);
    probed().await;
    assert_eq!(pool.status().healthy(), 1, "{}", pool.status());
    pool.drain("5");

    drop(watching);
    settle().await;
    for id in ["0", "1", "2", "3", "4"] {
        let info = pool.get(id).unwrap();
        assert_eq!(info.state(), State::Healthy, "{info}");
        assert!(info.is_eligible(), "{info}");
        assert_eq!((info.why(), info.until()), (None, None), "{info}");
    }
    // What an operator ordered is not what it knew.
    assert_eq!(state(&pool, "5"), State::Draining);
    requests(&pool, "0", 50, FAILURE);
    settle().await;
    assert_eq!(state(&pool, "0"), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn outcomes_count_from_the_moment_that_the_watch_is_made() {
    let pool = pool(3);
    requests(&pool, "0", 5, FAILURE);
    let watch = Health::new().ejection(exact()).watch(&pool);
    assert_eq!(pool.get("0").unwrap().counts().total(), 0);
    requests(&pool, "0", 5, FAILURE);
    let _watching = tokio::spawn(watch);
    settle().await;
    assert_eq!(state(&pool, "0"), State::Ejected);
    assert_eq!(pool.get("0").unwrap().counts().failures(), 5);
}

#[tokio::test(start_paused = true)]
async fn one_watch_of_two_pools_probes_each_id_once_and_both_learn_it() {
    let (first, table) = (pool(4), Table::new());
    let second: Pool<usize> = (2..6).map(|at| Backend::new(at.to_string(), at)).collect();
    table.set(3, Says::Down);
    let health = table.health(every(Duration::from_secs(5)).fall(1).unwrap());
    let ejection = exact().max_ejected(0.5).unwrap();
    let watching = health.ejection(ejection).spawn_all(&[&first, &second]);
    settle().await;
    for id in 0..6 {
        assert_eq!(table.times(&id.to_string()).len(), 1, "{id}");
    }
    assert_eq!(state(&first, "3"), State::Unhealthy);
    assert_eq!(state(&second, "3"), State::Unhealthy);
    // What the traffic shows is each pool's own affair.
    requests(&first, "2", 5, FAILURE);
    settle().await;
    assert_eq!(state(&first, "2"), State::Ejected);
    assert_eq!(state(&second, "2"), State::Healthy);

    // One is dropped; the other is watched on, until it goes, too.
    drop(first);
    table.set(4, Says::Down);
    sleep(Duration::from_secs(10)).await;
    assert_eq!(state(&second, "4"), State::Unhealthy);
    drop(second);
    assert_eq!(timeout(SOON, watching).await.unwrap(), Ended::PoolDropped);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_panics_has_failed_and_the_watch_goes_on() {
    let pool = pool(4);
    let probe = async |target: Target<usize>| match *target.value() {
        0 => Err("it is down"),
        1 => panic!("the probe's own fault"),
        _ => Ok(()),
    };
    let _watching = Health::new().probe(probe, at_once()).spawn(&pool);
    probed().await;
    for (id, why) in [
        ("0", "probe: it is down"),
        ("1", "probe: the probe panicked"),
    ] {
        let info = pool.get(id).unwrap();
        assert_eq!(info.state(), State::Unhealthy);
        assert_eq!(info.why().unwrap().to_string(), why);
    }
    assert_eq!(pool.status().healthy(), 2);
}
