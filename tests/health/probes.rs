use std::io;
use std::time::Duration;

use evenkeel::backend::{Outcome, State};
use evenkeel::health::{Answer, Health, ProbeSettings, Target};
use evenkeel::{Backend, Pool};
use tokio::time::{Instant, sleep};

use crate::setup::{
    Says, Table, at, at_once, every, pool, probed, request, seed, settle, start, state,
};

const SECOND: Duration = Duration::from_secs(1);

/// The times between one probe of a backend and the next.
fn gaps(table: &Table, id: &str) -> Vec<f64> {
    let times = table.times(id);
    times.windows(2).map(|pair| pair[1] - pair[0]).collect()
}

/// To the millisecond: timers do not ring sooner.
fn is_about(time: f64, expected: f64) -> bool {
    (expected - 1e-6..expected + 0.0021).contains(&time)
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_is_sent_at_once_the_second_within_an_interval_and_then_one_each_interval()
{
    let (pool, table) = (pool(50), Table::new());
    let _watching = table.health(every(SECOND * 5)).seed(seed()).spawn(&pool);
    sleep(SECOND * 40).await;
    let mut seconds = Vec::new();
    for id in pool.list().iter().map(evenkeel::backend::BackendInfo::id) {
        assert!(table.times(id)[0] < 0.001, "{id}");
        let gaps = gaps(&table, id);
        assert!(gaps[0] <= 5.001, "{id}: {gaps:?}");
        assert!(
            gaps[1..].iter().all(|&gap| is_about(gap, 5.0)),
            "{id}: {gaps:?}"
        );
        assert!(gaps.len() >= 7);
        seconds.push(gaps[0]);
    }
    // They are spread: a quarter of the interval stays free with a chance of 2 in a million.
    for from in [0.0, 1.25, 2.5, 3.75] {
        let there = seconds.iter().any(|gap| (from..from + 1.25).contains(gap));
        assert!(there, "{from}: {seconds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_interval_is_longer_by_the_jitter_at_most() {
    let (pool, table) = (pool(50), Table::new());
    let settings = every(SECOND * 5).jitter(0.5).unwrap();
    let _watching = table.health(settings).seed(seed()).spawn(&pool);
    sleep(SECOND * 60).await;
    let all: Vec<f64> = (0..50)
        .flat_map(|id| gaps(&table, &id.to_string()).split_off(1))
        .collect();
    let shortest = all.iter().copied().fold(f64::MAX, f64::min);
    let longest = all.iter().copied().fold(0.0, f64::max);
    println!("{} from {shortest} to {longest}", all.len());
    assert!(shortest >= 4.999 && longest <= 7.502);
    assert!(shortest < 5.2 && longest > 7.3);
}

#[tokio::test(start_paused = true)]
async fn backends_are_probed_more_often_while_their_state_is_changing() {
    let (pool, table) = (pool(1), Table::new());
    // The changing interval is a fifth: 2 s.
    let settings = every(SECOND * 10).rise(3).unwrap().fall(3).unwrap();
    let _watching = table.health(settings).spawn(&pool);
    sleep(SECOND * 11).await;
    let from = table.times("0").len();
    table.set(0, Says::Down);
    sleep(SECOND * 35).await;
    assert_eq!(state(&pool, "0"), State::Unhealthy);
    table.set(0, Says::Well);
    sleep(SECOND * 25).await;
    assert_eq!(state(&pool, "0"), State::Healthy);
    let gaps = gaps(&table, "0").split_off(from - 1);
    // To the first failure, two more, then down; to the first success, two more, then up.
    let expected = [10.0, 2.0, 2.0, 10.0, 10.0, 10.0, 2.0, 2.0, 10.0];
    for (gap, expected) in gaps.iter().zip(expected) {
        assert!(is_about(*gap, expected), "{gaps:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn backends_are_probed_less_often_while_there_is_no_traffic() {
    let (pool, table) = (pool(2), Table::new());
    let settings = every(SECOND * 5).idle_interval(SECOND * 60).unwrap();
    let _watching = table.health(settings).spawn(&pool);
    let begin = Instant::now();
    at(begin, 200.0).await;
    let idle = gaps(&table, "0").split_off(2);
    assert!(
        !idle.is_empty() && idle.iter().all(|&gap| is_about(gap, 60.0)),
        "{idle:?}"
    );

    let from = table.times("0").len();
    for second in 0..180 {
        request(&pool, "1", Outcome::Success);
        at(begin, 200.0 + f64::from(second)).await;
    }
    let busy = gaps(&table, "0").split_off(from);
    assert!(
        busy.len() > 20 && busy.iter().all(|&gap| is_about(gap, 5.0)),
        "{busy:?}"
    );

    // One that runs is traffic, too.
    let running = start(&pool, "1");
    let from = table.times("0").len();
    at(begin, 480.0).await;
    let busy = gaps(&table, "0").split_off(from);
    assert!(
        busy.len() > 15 && busy.iter().all(|&gap| is_about(gap, 5.0)),
        "{busy:?}"
    );
    drop(running);
}

#[tokio::test(start_paused = true)]
async fn a_probe_without_an_answer_in_time_has_failed() {
    let (pool, table) = (pool(3), Table::new());
    table.set(0, Says::Nothing);
    table.set(1, Says::Late(Duration::from_millis(1990)));
    let settings = every(SECOND * 5).fall(1).unwrap();
    let _watching = table.health(settings).spawn(&pool);
    let begin = Instant::now();
    at(begin, 1.995).await;
    assert_eq!(pool.status().healthy(), 3);
    at(begin, 2.01).await;
    assert_eq!(state(&pool, "0"), State::Unhealthy);
    assert_eq!(state(&pool, "1"), State::Healthy);
    let why = pool.get("0").unwrap().why().unwrap().to_string();
    assert_eq!(why, "probe: no answer within 2s");
    // From the end of one to the next.
    at(begin, 60.0).await;
    assert!(gaps(&table, "0")[1..].iter().all(|&gap| is_about(gap, 7.0)));
}

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
async fn no_more_probes_run_at_once_than_the_setting_and_nobody_is_forgotten() {
    let (pool, table) = (pool(100), Table::new());
    for id in 0..100 {
        table.set(id, Says::Late(Duration::from_millis(100)));
    }
    table.set(50, Says::Nothing);
    let settings = every(SECOND * 30).concurrency(7).unwrap();
    let _watching = table.health(settings).spawn(&pool);
    sleep(Duration::from_millis(1900)).await;
    assert_eq!(table.most(), 7);
    let mut asked: Vec<_> = table.asked().into_iter().map(|asked| asked.0).collect();
    asked.sort();
    asked.dedup();
    assert_eq!(asked.len(), 100);
    sleep(SECOND * 120).await;
    assert_eq!(table.most(), 7);
    let fewest = (0..100).map(|id| table.times(&id.to_string()).len()).min();
    assert!(fewest >= Some(4), "{fewest:?}");
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
