//! When backends are probed.

use std::time::Duration;

use evenkeel::backend::{Outcome, State};
use tokio::time::{Instant, sleep};

use crate::setup::{Says, Table, at, every, pool, request, seed, start, state};

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
    let asked = async |times: usize| {
        while table.times("0").len() < times {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(1)).await;
    };
    asked(3).await;
    table.set(0, Says::Down);
    // The third failure is that of the sixth probe.
    asked(5).await;
    assert_eq!(state(&pool, "0"), State::Healthy);
    asked(6).await;
    assert_eq!(state(&pool, "0"), State::Unhealthy);
    asked(8).await;
    table.set(0, Says::Well);
    asked(10).await;
    assert_eq!(state(&pool, "0"), State::Unhealthy);
    asked(11).await;
    assert_eq!(state(&pool, "0"), State::Healthy);
    asked(13).await;
    let gaps = gaps(&table, "0").split_off(1);
    let expected = [10.0, 10.0, 2.0, 2.0, 10.0, 10.0, 10.0, 2.0, 2.0, 10.0, 10.0];
    assert_eq!(gaps.len(), expected.len());
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
