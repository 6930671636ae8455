//! The rules that look at an interval, here of ten seconds.

use std::time::Duration;

use evenkeel::Pool;
use evenkeel::backend::{Outcome, State};
use evenkeel::health::{Ejection, Health};
use tokio::time::{Instant, sleep};

use crate::setup::{FAILURE, at, exact, pool, requests, state};

/// None of the rules, with times that are exact, and no more than a few requests needed.
fn rules() -> Ejection {
    let ejection = Ejection::none().jitter(0.0).unwrap();
    ejection.minimum_requests(10).unwrap()
}

/// So many of 100 requests at each backend succeed.
fn rates(pool: &Pool<usize>, rates: &[usize]) {
    for (id, &successes) in rates.iter().enumerate() {
        requests(pool, &id.to_string(), successes, Outcome::Success);
        requests(pool, &id.to_string(), 100 - successes, FAILURE);
    }
}

fn why(pool: &Pool<usize>, id: &str) -> String {
    let why = pool.get(id).unwrap().why().map(ToString::to_string);
    why.unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_backend_is_ejected_at_its_percentage_of_failures_and_not_one_below() {
    for (failures, expected) in [(4, State::Healthy), (5, State::Ejected)] {
        let pool = pool(5);
        let ejection = rules().failure_percentage(50.0).unwrap();
        let _watching = Health::new().ejection(ejection).spawn(&pool);
        let begin = Instant::now();
        for id in ["1", "2", "3", "4"] {
            requests(&pool, id, 10, Outcome::Success);
        }
        requests(&pool, "0", failures, FAILURE);
        requests(&pool, "0", 10 - failures, Outcome::Success);
        at(begin, 9.99).await;
        assert_eq!(state(&pool, "0"), State::Healthy);
        at(begin, 10.01).await;
        assert_eq!(state(&pool, "0"), expected, "{failures}");
        if expected == State::Ejected {
            assert_eq!(why(&pool, "0"), "5 of 10 requests failed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_happened_in_earlier_intervals_does_not_count() {
    let pool = pool(2);
    let ejection = rules().failure_percentage(50.0).unwrap();
    let ejection = ejection.minimum_backends(1).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    let begin = Instant::now();
    // Never enough of them in one interval.
    for interval in 0..5 {
        requests(&pool, "0", 9, FAILURE);
        at(begin, f64::from(interval) * 10.0 + 10.01).await;
        assert_eq!(state(&pool, "0"), State::Healthy, "{interval}");
    }
    // Many successes do not outweigh the failures of later intervals.
    requests(&pool, "0", 1000, Outcome::Success);
    at(begin, 60.01).await;
    requests(&pool, "0", 10, FAILURE);
    at(begin, 70.01).await;
    assert_eq!(state(&pool, "0"), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn cancelled_and_rejected_requests_count_neither_way() {
    let pool = pool(2);
    let ejection = rules().failure_percentage(50.0).unwrap();
    let ejection = ejection.minimum_backends(1).unwrap().spare(Duration::ZERO);
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    requests(&pool, "0", 100, Outcome::Cancelled);
    requests(&pool, "0", 100, Outcome::Rejected);
    requests(&pool, "0", 9, FAILURE);
    requests(&pool, "1", 100, Outcome::Cancelled);
    requests(&pool, "1", 10, FAILURE);
    sleep(Duration::from_millis(10_010)).await;
    assert_eq!(state(&pool, "0"), State::Healthy);
    assert_eq!(state(&pool, "1"), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn backends_are_compared_only_if_enough_of_them_had_enough_requests() {
    // At how many backends, each with how many requests, and whether that will do.
    for (backends, count, enough) in [(5, 10, true), (4, 10, false), (5, 9, false)] {
        for percentage in [true, false] {
            let pool = pool(6);
            let ejection = rules();
            let ejection = if percentage {
                ejection.failure_percentage(50.0)
            } else {
                ejection.success_rate(1.5)
            };
            let _watching = Health::new().ejection(ejection.unwrap()).spawn(&pool);
            requests(&pool, "0", count, FAILURE);
            for id in 1..backends {
                requests(&pool, &id.to_string(), count, Outcome::Success);
            }
            sleep(Duration::from_millis(10_010)).await;
            let ejected = state(&pool, "0") == State::Ejected;
            assert_eq!(ejected, enough, "{backends} × {count}, {percentage}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_success_rate_is_an_outlier_beyond_1_9_standard_deviations_below_the_mean() {
    // The least rate that is not 1.9 standard deviations of the five below their mean, and one
    // below that: worked out by hand, 1.886 and 1.903, 1.897 and 1.904, 1.897 and 1.902 of them.
    for (others, last_good) in [
        ([100, 100, 98, 96], 88),
        ([100, 98, 96, 90], 71),
        ([100, 95, 90, 85], 55),
    ] {
        for (rate, expected) in [(last_good, State::Healthy), (last_good - 1, State::Ejected)] {
            let pool = pool(5);
            let ejection = exact().failures_in_a_row(None).unwrap();
            let _watching = Health::new().ejection(ejection).spawn(&pool);
            let all = [rate, others[0], others[1], others[2], others[3]];
            rates(&pool, &all);
            sleep(Duration::from_millis(10_010)).await;
            assert_eq!(state(&pool, "0"), expected, "{all:?}");
            assert_eq!(pool.status().healthy(), 5 - pool.status().ejected());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_reason_names_the_rate_and_the_one_that_would_have_done() {
    let pool = pool(5);
    let ejection = exact().failures_in_a_row(None).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    // A mean of 0.9, a standard deviation of 0.2.
    rates(&pool, &[50, 100, 100, 100, 100]);
    sleep(Duration::from_millis(10_010)).await;
    assert_eq!(
        why(&pool, "0"),
        "50.0 % of its requests succeeded, where 52.0 % would have done"
    );
}

#[tokio::test(start_paused = true)]
async fn the_worst_go_first_where_not_all_can() {
    let pool = pool(20);
    let ejection = rules().failure_percentage(50.0).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    let mut all = [90; 20];
    for (id, rate) in [
        (2, 45),
        (3, 40),
        (5, 35),
        (11, 20),
        (12, 30),
        (14, 25),
        (17, 49),
        (19, 0),
    ] {
        all[id] = rate;
    }
    rates(&pool, &all);
    sleep(Duration::from_millis(10_010)).await;
    let out: Vec<_> = (0..20)
        .filter(|id| state(&pool, &id.to_string()) == State::Ejected)
        .collect();
    assert_eq!(out, [11, 19]);
}
