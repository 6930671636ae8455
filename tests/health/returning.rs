//! Those that are back start slowly, too, and those that reject are spared.

use std::time::Duration;

use evenkeel::Pool;
use evenkeel::backend::Outcome;
use evenkeel::health::Health;
use evenkeel::picker::{Random, Selector};
use evenkeel::set::{Rules, SlowStart};
use tokio::time::{Instant, sleep};

use crate::setup::{
    FAILURE, Says, Table, at, at_once, exact, noise, only_one, pool, probed, request, requests,
    seed, selector, settle, start,
};

fn slow_start() -> Rules {
    Rules::new().slow_start(SlowStart::new(Duration::from_secs(60)).unwrap())
}

fn share(pool: &Pool<usize>) -> f64 {
    pool.get("0").unwrap().share()
}

/// What part of the picks goes to "0".
fn part(pool: &Pool<usize>) -> f64 {
    let selector = Selector::<_, ()>::new(pool.clone(), Random::new()).seed(seed());
    let picked = (0..COUNT).filter(|_| selector.select(&()).unwrap().0 == 0);
    picked.count() as f64 / COUNT as f64
}

const COUNT: usize = 10_000;

/// "0" gets the part of its share among so many.
fn expect(pool: &Pool<usize>, w: f64, what: &str) {
    let (part, n) = (part(pool), pool.len() as f64);
    let by = noise(1.0 / n, COUNT);
    let range = w / n - by..w / (n - 1.0 + w) + by;
    assert!(range.contains(&part), "{what}, {w}: {part}");
}

#[tokio::test(start_paused = true)]
async fn whoever_comes_back_starts_slowly() {
    for how in ["undrain", "unforce", "weight", "probe", "trial"] {
        let (pool, table) = (pool(10), Table::new());
        pool.set_rules(slow_start());
        let health = table.health(at_once()).ejection(exact());
        let _watching = health.spawn(&pool);
        let begin = Instant::now();
        at(begin, 61.0).await;
        assert_eq!(share(&pool), 1.0);
        match how {
            "undrain" => {
                pool.drain("0");
                pool.undrain("0");
            }
            "unforce" => {
                pool.force_down("0");
                pool.unforce("0");
            }
            "weight" => {
                pool.set_weight("0", 0);
                pool.set_weight("0", 1);
            }
            "probe" => {
                table.set(0, Says::Down);
                probed().await;
                table.set(0, Says::Well);
                probed().await;
            }
            _ => {
                requests(&pool, "0", 5, FAILURE);
                at(begin, 91.1).await;
                only_one(&selector(&pool), 0).finish(Outcome::Success);
                settle().await;
            }
        }
        let since = Instant::from_std(pool.get("0").unwrap().since());
        assert!(since.elapsed() < Duration::from_millis(50), "{how}");
        for (second, w) in [(5.0, 0.1), (30.0, 0.5), (45.0, 0.75), (60.0, 1.0)] {
            at(since, second).await;
            assert!((share(&pool) - w).abs() < 0.001, "{how}: {}", share(&pool));
            expect(&pool, w, how);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_take_a_backend_out_of_use_does_not_start_it_anew() {
    let (pool, table) = (pool(10), Table::new());
    pool.set_rules(slow_start());
    let _watching = table.watch(&pool);
    at(Instant::now(), 61.0).await;
    pool.set_weight("0", 7);
    pool.set_weight("0", 1);
    pool.insert(evenkeel::Backend::new("0", 0));
    pool.force_up("0");
    pool.unforce("0");
    table.set(0, Says::Degraded);
    probed().await;
    table.set(0, Says::Well);
    probed().await;
    assert_eq!(share(&pool), 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_rejects_gets_a_tenth_of_its_share_for_a_second() {
    let pool = pool(10);
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    let begin = Instant::now();
    request(&pool, "0", Outcome::Rejected);
    settle().await;
    assert_eq!(share(&pool), 0.1);
    expect(&pool, 0.1, "at first");
    at(begin, 0.99).await;
    expect(&pool, 0.1, "in the end");
    at(begin, 1.001).await;
    assert_eq!(share(&pool), 1.0);
    expect(&pool, 1.0, "after it");
    assert_eq!(pool.status().healthy(), 10);

    // Each rejection prolongs it.
    let begin = Instant::now();
    for tenth in 0..30 {
        at(begin, f64::from(tenth) / 10.0).await;
        request(&pool, "0", Outcome::Rejected);
    }
    at(begin, 3.8).await;
    expect(&pool, 0.1, "prolonged");
    at(begin, 4.0).await;
    expect(&pool, 1.0, "no more");
}

#[tokio::test(start_paused = true)]
async fn a_backends_own_word_on_when_to_come_again_is_heeded_up_to_300_seconds() {
    for (asks, spared) in [(0.1, 1.0), (20.0, 20.0), (300.0, 300.0), (4000.0, 300.0)] {
        let pool = pool(10);
        let _watching = Health::new().ejection(exact()).spawn(&pool);
        let begin = Instant::now();
        let mut completion = start(&pool, "0");
        completion.retry_after(Duration::from_secs_f64(asks));
        completion.finish(Outcome::Rejected);
        at(begin, spared - 0.01).await;
        assert_eq!(share(&pool), 0.1, "{asks}");
        expect(&pool, 0.1, "spared");
        at(begin, spared + 0.01).await;
        assert_eq!(share(&pool), 1.0, "{asks}");
        expect(&pool, 1.0, "not spared");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_heeded_with_a_failure_too_and_a_spare_of_zero_turns_it_off() {
    let pool = pool(10);
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    let mut completion = start(&pool, "0");
    completion.retry_after(Duration::from_secs(100));
    completion.finish(FAILURE);
    settle().await;
    assert_eq!(share(&pool), 0.1);
    sleep(Duration::from_secs(100)).await;
    assert_eq!(share(&pool), 1.0);

    let off = exact().spare(Duration::ZERO);
    let _watching = Health::new().ejection(off).spawn(&pool);
    request(&pool, "0", Outcome::Rejected);
    settle().await;
    assert_eq!(share(&pool), 1.0);
}

#[tokio::test(start_paused = true)]
async fn where_all_reject_they_share_evenly() {
    let pool = pool(10);
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    for id in 0..10 {
        request(&pool, &id.to_string(), Outcome::Rejected);
    }
    settle().await;
    assert!(pool.list().iter().all(|info| info.share() == 0.1));
    expect(&pool, 1.0, "all reject");
    // One that does not gets what the others leave.
    sleep(Duration::from_millis(500)).await;
    for id in 1..10 {
        request(&pool, &id.to_string(), Outcome::Rejected);
    }
    sleep(Duration::from_millis(600)).await;
    // Each of them lets nine of ten pass, until "0" is found, or seven have passed.
    let part = part(&pool);
    assert!((0.45..0.6).contains(&part), "{part}");
}

#[tokio::test(start_paused = true)]
async fn one_that_was_spared_starts_slowly_from_there() {
    let pool = pool(10);
    pool.set_rules(slow_start());
    at(Instant::now(), 61.0).await;
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    let begin = Instant::now();
    request(&pool, "0", Outcome::Rejected);
    for (second, w) in [
        (0.5, 0.1),
        (7.0, 0.1),
        (31.0, 0.5),
        (46.0, 0.75),
        (61.0, 1.0),
    ] {
        at(begin, second).await;
        assert!((share(&pool) - w).abs() < 0.001, "{}", share(&pool));
        expect(&pool, w, "afterwards");
    }
}
