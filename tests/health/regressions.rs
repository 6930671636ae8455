//! What once went wrong.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::backend::{Outcome, State};
use evenkeel::health::{Answer, Health, ProbeSettings, Target};
use evenkeel::picker::{Random, Selector};
use evenkeel::set::{Rules, SlowStart, TierStatus};
use evenkeel::{Backend, Pool};
use tokio::time::{Instant, sleep};

use crate::setup::{FAILURE, at, exact, pool, request, settle, start, state};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_fails_on_while_its_ejection_is_gathered_comes_back_all_the_same() {
    let pool = pool(20);
    let _watching = Health::new()
        .ejection(exact().max_ejected(0.5).unwrap())
        .spawn(&pool);
    let begin = Instant::now();
    for _ in 0..5 {
        request(&pool, "0", FAILURE);
    }
    sleep(millis(1)).await;
    for _ in 0..3 {
        for _ in 0..5 {
            request(&pool, "1", FAILURE);
        }
        sleep(millis(1)).await;
    }
    settle().await;
    assert_eq!(state(&pool, "1"), State::Ejected);
    at(begin, 31.0).await;
    assert_eq!(state(&pool, "1"), State::Trial);
}

#[tokio::test(start_paused = true)]
async fn failures_that_a_replaced_watch_has_not_seen_are_not_lost() {
    let pool = pool(3);
    let _first = Health::new().ejection(exact()).spawn(&pool);
    settle().await;
    for _ in 0..5 {
        request(&pool, "0", FAILURE);
    }
    let _second = Health::new().ejection(exact()).spawn(&pool);
    settle().await;
    assert_eq!(state(&pool, "0"), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_joins_while_the_watch_is_replaced_is_watched() {
    let pool = pool(3);
    let _first = Health::new().ejection(exact()).spawn(&pool);
    settle().await;
    let _second = Health::new().ejection(exact()).spawn(&pool);
    pool.insert(Backend::new("new", 9));
    settle().await;
    for _ in 0..5 {
        request(&pool, "new", FAILURE);
    }
    settle().await;
    assert_eq!(state(&pool, "new"), State::Ejected);
}

fn probes() -> ProbeSettings {
    ProbeSettings::new()
        .jitter(0.0)
        .unwrap()
        .rise(1)
        .unwrap()
        .fall(1)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_id_that_leaves_and_joins_at_once_is_probed_as_a_new_member() {
    let pool = pool(3);
    let _watching = Health::new()
        .probe(
            async |_: Target<usize>| Ok::<(), String>(()),
            probes().gated(),
        )
        .spawn(&pool);
    settle().await;
    assert_eq!(state(&pool, "0"), State::Healthy);
    pool.edit(|edit| {
        edit.remove("0");
        edit.insert(Backend::new("0", 7));
    });
    assert_eq!(state(&pool, "0"), State::Unchecked);
    sleep(millis(30_000)).await;
    assert_eq!(state(&pool, "0"), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_second_pools_newcomer_learns_what_the_first_pool_knows_of_its_id() {
    let (first, second) = (pool(3), Pool::<usize>::new());
    let probe = async |target: Target<usize>| match target.id() {
        "0" => Err("it is down"),
        _ => Ok(Answer::Healthy),
    };
    let _watching = Health::new()
        .probe(probe, probes())
        .spawn_all(&[&first, &second]);
    settle().await;
    assert_eq!(state(&first, "0"), State::Unhealthy);
    second.insert(Backend::new("0", 0));
    second.insert(Backend::new("1", 0));
    sleep(millis(30_000)).await;
    assert_eq!(state(&second, "0"), State::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn members_of_a_dropped_pool_are_not_probed_any_more() {
    let first = pool(1);
    let second = Pool::from([Backend::new("other", 0)]);
    let asked = Arc::new(Mutex::new(Vec::new()));
    let probe = {
        let asked = Arc::clone(&asked);
        move |target: Target<usize>| {
            asked.lock().unwrap().push(target.id().to_owned());
            async { Ok::<(), String>(()) }
        }
    };
    let _watching = Health::new()
        .probe(probe, probes())
        .spawn_all(&[&first, &second]);
    settle().await;
    drop(second);
    settle().await;
    asked.lock().unwrap().clear();
    sleep(millis(30_000)).await;
    let asked = asked.lock().unwrap();
    assert!(asked.iter().all(|id| id == "0"), "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_without_probes_takes_back_what_probes_took_out() {
    let pool = pool(3);
    let probe = async |target: Target<usize>| match target.id() {
        "0" => Err("it is down"),
        _ => Ok(()),
    };
    let _first = Health::new().probe(probe, probes()).spawn(&pool);
    settle().await;
    assert_eq!(state(&pool, "0"), State::Unhealthy);
    let _second = Health::new().spawn(&pool);
    sleep(millis(60_000)).await;
    assert_eq!(state(&pool, "0"), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_slow_start_after_a_prolonged_restraint_lasts_its_window() {
    let pool = pool(4);
    let slow_start = SlowStart::new(Duration::from_secs(10)).unwrap();
    pool.set_rules(Rules::new().slow_start(slow_start));
    at(Instant::now(), 11.0).await;
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    let selector = Selector::<_, ()>::new(pool.clone(), Random::new()).seed(1);
    let begin = Instant::now();
    request(&pool, "0", Outcome::Rejected);
    at(begin, 9.5).await;
    request(&pool, "0", Outcome::Rejected);
    // Restrained up to 10.5, and half way up at 15.5.
    at(begin, 15.5).await;
    assert!((pool.get("0").unwrap().share() - 0.5).abs() < 0.01);
    let picks = (0..4000)
        .filter(|_| selector.select(&()).unwrap().0 == 0)
        .count();
    assert!((400..700).contains(&picks), "{picks} of 4000");
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_begins_late_has_an_interval_to_answer() {
    let pool = pool(3);
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    let selector = Selector::<_, ()>::new(pool.clone(), Random::new()).seed(1);
    let begin = Instant::now();
    for _ in 0..5 {
        request(&pool, "0", FAILURE);
    }
    at(begin, 39.9).await;
    assert_eq!(state(&pool, "0"), State::Trial);
    let mut trial = None;
    for _ in 0..30 {
        let (value, completion) = selector.select(&()).unwrap();
        if value == 0 {
            trial = Some(completion);
        }
    }
    at(begin, 40.2).await;
    assert_eq!(state(&pool, "0"), State::Trial);
    trial.unwrap().finish(Outcome::Success);
    settle().await;
    assert_eq!(state(&pool, "0"), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_until_callers_give_up_is_ejected_once_there_is_room() {
    let pool = pool(6);
    let ejection = exact().latency(3.0, millis(50)).unwrap();
    let ejection = ejection.minimum_requests(40).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    let begin = Instant::now();
    // Only one may be ejected. Both hang; "0" is the slower at first, callers give up at "1".
    let gives_up_after = [1.0, 0.9, 0.8, 0.7];
    let mut hanging = Vec::new();
    for (interval, gives_up_after) in gives_up_after.into_iter().enumerate() {
        let from = interval as f64 * 10.0;
        if interval == 0 {
            hanging.extend((0..20).map(|_| start(&pool, "0")));
        }
        let mut running: Vec<_> = (0..20).map(|_| start(&pool, "1")).collect();
        for id in ["2", "3", "4", "5"] {
            for _ in 0..20 {
                request(&pool, id, Outcome::Success);
            }
        }
        at(begin, from + gives_up_after).await;
        running.clear();
        at(begin, from + 10.01).await;
        if interval == 0 {
            assert_eq!(state(&pool, "0"), State::Ejected);
            assert_eq!(state(&pool, "1"), State::Healthy);
            hanging.clear();
            pool.remove("0");
        }
        if state(&pool, "1") == State::Ejected {
            return;
        }
    }
    panic!("it was never ejected");
}

#[tokio::test(start_paused = true)]
async fn failures_from_before_an_ejection_do_not_count_after_it() {
    let pool = pool(6);
    let ejection = exact()
        .base_time(Duration::from_secs(2))
        .unwrap()
        .failure_percentage(50.0)
        .unwrap()
        .minimum_requests(5)
        .unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    let selector = Selector::<_, ()>::new(pool.clone(), Random::new()).seed(1);
    let begin = Instant::now();
    for id in 1..6 {
        for _ in 0..5 {
            request(&pool, &id.to_string(), Outcome::Success);
        }
    }
    for _ in 0..5 {
        request(&pool, "0", FAILURE);
    }
    at(begin, 3.0).await;
    for _ in 0..20 {
        selector.select(&()).unwrap().1.finish(Outcome::Success);
    }
    settle().await;
    assert_eq!(state(&pool, "0"), State::Healthy);
    at(begin, 10.1).await;
    assert_eq!(state(&pool, "0"), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn equal_success_rates_are_no_outliers() {
    let pool = pool(3);
    let ejection = exact()
        .failures_in_a_row(None)
        .unwrap()
        .success_rate(0.0)
        .unwrap()
        .minimum_backends(3)
        .unwrap()
        .minimum_requests(10)
        .unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    for id in ["0", "1", "2"] {
        for _ in 0..9 {
            request(&pool, id, FAILURE);
        }
        request(&pool, id, Outcome::Success);
    }
    sleep(millis(10_100)).await;
    assert_eq!(pool.status().ejected(), 0, "{}", pool.status());
}

#[tokio::test(start_paused = true)]
async fn a_healthy_plain_backup_is_used_before_the_degraded_of_the_first_tier() {
    let pool = Pool::from([
        Backend::new("first", 0),
        Backend::new("second", 0).priority(1),
    ]);
    pool.set_rules(Rules::new().plain_backup());
    let probe = async |target: Target<usize>| {
        Ok::<_, String>(match target.id() {
            "first" => Answer::Degraded,
            _ => Answer::Healthy,
        })
    };
    let _watching = Health::new().probe(probe, probes()).spawn(&pool);
    settle().await;
    let status = pool.status();
    let shares: Vec<f64> = status.tiers().iter().map(TierStatus::share).collect();
    assert_eq!(shares, [0.0, 1.0]);
}
