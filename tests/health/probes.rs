use std::io;
use std::time::Duration;

use evenkeel::backend::State;
use evenkeel::health::{Answer, Health, ProbeSettings, Target};
use evenkeel::{Backend, Pool};
use tokio::time::{Instant, sleep};

use crate::setup::{Says, Table, at, at_once, every, pool, probed, settle, state};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_reason_is_what_the_error_says_and_its_causes() {
    let pool = pool(1);
    let probe = async |_: Target<usize>| {
        #[derive(Debug, thiserror::Error)]
        #[error("no answer from the cellar")]
        struct Cellar(#[source] io::Error);
        Err::<(), _>(Cellar(io::Error::other("it is flooded")))
    };
    let _watching = Health::new().probe(probe, at_once()).spawn(&pool);
    probed().await;
    let why = pool.get("0").unwrap().why().unwrap().to_string();
    assert_eq!(why, "probe: no answer from the cellar: it is flooded");
}

#[tokio::test(start_paused = true)]
async fn it_takes_exactly_rise_successes_and_fall_failures_and_fewer_change_nothing() {
    for (rise, fall) in [(1, 1), (2, 3), (4, 2)] {
        let (pool, table) = (pool(2), Table::new());
        let settings = every(Duration::from_millis(100));
        let settings = settings.rise(rise).unwrap().fall(fall).unwrap();
        let settings = settings
            .changing_interval(Duration::from_millis(100))
            .unwrap();
        let _watching = table.health(settings).spawn(&pool);
        sleep(SECOND).await;
        // In the middle between two probes.
        let times = table.times("0");
        let offset = times.last().unwrap() + 0.05 - 1.0;
        sleep(Duration::from_secs_f64(offset.rem_euclid(0.1))).await;
        let mut events = pool.events();
        let answer = async |says, times: u32| {
            table.set(0, says);
            for _ in 0..times {
                sleep(Duration::from_millis(100)).await;
                // Timers are late by up to a millisecond, and so is each probe after the other.
                sleep(Duration::from_micros(500)).await;
            }
        };
        for _ in 0..10 {
            answer(Says::Down, fall - 1).await;
            answer(Says::Well, 1).await;
        }
        assert!(events.try_next().is_none(), "{rise} {fall}");
        answer(Says::Down, fall).await;
        assert_eq!(state(&pool, "0"), State::Unhealthy, "{rise} {fall}");
        assert!(events.try_next().is_some());
        for _ in 0..5 {
            answer(Says::Well, rise - 1).await;
            answer(Says::Down, 1).await;
        }
        assert!(events.try_next().is_none(), "{rise} {fall}");
        answer(Says::Well, rise).await;
        assert_eq!(state(&pool, "0"), State::Healthy, "{rise} {fall}");
        assert_eq!(state(&pool, "1"), State::Healthy);
    }
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_is_trusted_unless_it_is_gated_and_then_one_success_will_do() {
    for gated in [false, true] {
        let (pool, table) = (pool(3), Table::new());
        let settings = every(SECOND * 5);
        let settings = if gated { settings.gated() } else { settings };
        let _watching = table.health(settings).spawn(&pool);
        settle().await;
        assert_eq!(pool.status().count_of(State::Healthy), 3);

        table.set("new", Says::Late(SECOND));
        pool.insert(Backend::new("new", 3));
        let first = if gated {
            State::Unchecked
        } else {
            State::Healthy
        };
        sleep(Duration::from_millis(990)).await;
        assert_eq!(state(&pool, "new"), first);
        assert_eq!(pool.get("new").unwrap().is_eligible(), !gated);
        sleep(Duration::from_millis(20)).await;
        assert_eq!(state(&pool, "new"), State::Healthy);

        table.set("ill", Says::Down);
        pool.insert(Backend::new("ill", 4));
        settle().await;
        assert_eq!(state(&pool, "ill"), first);
        sleep(SECOND * 5).await;
        assert_eq!(state(&pool, "ill"), State::Unhealthy);
    }
}

#[tokio::test(start_paused = true)]
async fn a_degraded_answer_is_a_success_that_says_so_and_the_next_one_counts() {
    let (pool, table) = (pool(3), Table::new());
    let settings = at_once().rise(2).unwrap();
    let _watching = table.health(settings).spawn(&pool);
    table.set(0, Says::Degraded);
    probed().await;
    assert_eq!(state(&pool, "0"), State::Degraded);
    let why = pool.get("0").unwrap().why().unwrap().to_string();
    assert_eq!(why, "probe: it is degraded");
    table.set(0, Says::Well);
    probed().await;
    assert_eq!(state(&pool, "0"), State::Healthy);
    table.set(0, Says::Down);
    probed().await;
    assert_eq!(state(&pool, "0"), State::Unhealthy);
    // It comes back as what it is by then.
    table.set(0, Says::Degraded);
    probed().await;
    assert_eq!(state(&pool, "0"), State::Degraded);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_leaves_is_not_probed_any_more_and_a_new_one_is_at_once() {
    let (pool, table) = (pool(2), Table::new());
    let _watching = table
        .health(every(SECOND * 5).fall(1).unwrap())
        .spawn(&pool);
    let begin = Instant::now();
    at(begin, 7.0).await;
    pool.remove("0");
    let before = table.times("0").len();
    at(begin, 30.0).await;
    assert_eq!(table.times("0").len(), before);
    pool.insert(Backend::new("new", 2));
    at(begin, 30.001).await;
    assert_eq!(table.times("new").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_member_that_has_left_is_not_that_of_its_successor() {
    let (pool, table) = (pool(2), Table::new());
    table.set(0, Says::Nothing);
    let _watching = table
        .health(every(SECOND * 5).fall(1).unwrap())
        .spawn(&pool);
    let begin = Instant::now();
    at(begin, 1.0).await;
    pool.remove("0");
    at(begin, 1.1).await;
    table.set(0, Says::Well);
    pool.insert(Backend::new("0", 7));
    at(begin, 1.101).await;
    assert_eq!(table.times("0").len(), 2);
    // The first one fails now.
    at(begin, 2.1).await;
    assert_eq!(state(&pool, "0"), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_replaced_is_the_one_that_is_probed() {
    let pool = Pool::from([Backend::new("a", 1)]);
    let probe = async |target: Target<usize>| match *target.value() {
        1 => Ok(Answer::Healthy),
        other => Err(format!("it is {other}")),
    };
    let _watching = Health::new().probe(probe, at_once()).spawn(&pool);
    probed().await;
    pool.insert(Backend::new("a", 2));
    probed().await;
    let why = pool.get("a").unwrap().why().unwrap().to_string();
    assert_eq!(why, "probe: it is 2");
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_value() {
    let settings = ProbeSettings::new;
    for (error, expected) in [
        (
            settings().interval(Duration::ZERO),
            "invalid probe interval 0ns",
        ),
        (
            settings().changing_interval(Duration::ZERO),
            "invalid probe interval 0ns",
        ),
        (
            settings().idle_interval(Duration::ZERO),
            "invalid probe interval 0ns",
        ),
        (
            settings().timeout(Duration::ZERO),
            "invalid probe time-out 0ns",
        ),
        (settings().jitter(1.5), "invalid probe jitter 1.5"),
        (settings().jitter(f64::NAN), "invalid probe jitter NaN"),
        (settings().fall(0), "invalid number of failures 0"),
        (
            settings().concurrency(0),
            "invalid number of probes at once 0",
        ),
    ] {
        let error = error.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
