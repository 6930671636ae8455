use std::time::Duration;

use evenkeel::Pool;
use evenkeel::backend::{Failure, Outcome, State};
use evenkeel::health::{Ejection, Health};
use tokio::time::Instant;

use crate::setup::{
    FAILURE, at, exact, only_one, pool, request, requests, seed, selector, settle, state,
};

/// How long a backend is out from now on, in seconds.
fn left(pool: &Pool<usize>, id: &str) -> f64 {
    let until = pool.get(id).unwrap().until().expect("it is ejected");
    until
        .duration_since(Instant::now().into_std())
        .as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn a_backend_is_ejected_at_its_fifth_failure_in_a_row_and_a_success_clears_the_run() {
    let pool = pool(3);
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    for _ in 0..4 {
        request(&pool, "0", FAILURE);
    }
    request(&pool, "0", Outcome::Success);
    for _ in 0..4 {
        request(&pool, "0", FAILURE);
    }
    settle().await;
    assert_eq!(state(&pool, "0"), State::Healthy);

    request(&pool, "0", FAILURE);
    settle().await;
    let info = pool.get("0").unwrap();
    assert_eq!(info.state(), State::Ejected);
    assert_eq!(info.why().unwrap().to_string(), "5 failures in a row");
    assert!(!info.is_eligible());
}

#[tokio::test(start_paused = true)]
async fn a_rejection_or_a_cancellation_neither_breaks_a_run_of_failures_nor_is_part_of_it() {
    let pool = pool(3);
    let ejection = exact().spare(Duration::ZERO);
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    for outcome in [Outcome::Rejected, Outcome::Cancelled] {
        requests(&pool, "0", 10, outcome);
        requests(&pool, "0", 2, FAILURE);
    }
    settle().await;
    assert_eq!(state(&pool, "0"), State::Healthy);

    request(&pool, "0", FAILURE);
    settle().await;
    assert_eq!(state(&pool, "0"), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn a_number_of_failures_in_a_row_is_a_setting() {
    for failures in [1, 2, 7] {
        let pool = pool(3);
        let ejection = exact().failures_in_a_row(failures).unwrap();
        let _watching = Health::new().ejection(ejection).spawn(&pool);
        requests(&pool, "0", failures as usize - 1, FAILURE);
        settle().await;
        assert_eq!(state(&pool, "0"), State::Healthy, "{failures}");
        request(&pool, "0", FAILURE);
        settle().await;
        assert_eq!(state(&pool, "0"), State::Ejected, "{failures}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_gateway_failures_count_as_such_and_any_other_end_breaks_their_run() {
    let gateway = [Failure::Connect, Failure::Timeout, Failure::Gateway].map(Outcome::Failure);
    let others = [Failure::Response, Failure::Body, Failure::Other].map(Outcome::Failure);
    for breaks in others.into_iter().chain([Outcome::Success]) {
        let pool = pool(3);
        let ejection = Ejection::none().gateway_failures_in_a_row(3).unwrap();
        let _watching = Health::new().ejection(ejection).spawn(&pool);
        request(&pool, "0", gateway[0]);
        request(&pool, "0", gateway[1]);
        request(&pool, "0", breaks);
        request(&pool, "0", gateway[2]);
        request(&pool, "0", gateway[0]);
        requests(&pool, "1", 20, others[0]);
        settle().await;
        assert_eq!(state(&pool, "0"), State::Healthy, "{breaks:?}");
        assert_eq!(state(&pool, "1"), State::Healthy);

        request(&pool, "0", gateway[1]);
        settle().await;
        assert_eq!(state(&pool, "0"), State::Ejected, "{breaks:?}");
        let why = pool.get("0").unwrap().why().unwrap().to_string();
        assert_eq!(why, "3 connect or gateway failures in a row");
    }
}

#[tokio::test(start_paused = true)]
async fn no_rule_ejects_nobody() {
    let pool = pool(3);
    let _watching = Health::new().ejection(Ejection::none()).spawn(&pool);
    let begin = Instant::now();
    for second in 0..40 {
        requests(&pool, "0", 20, FAILURE);
        requests(&pool, "1", 20, Outcome::Success);
        at(begin, f64::from(second)).await;
    }
    assert_eq!(pool.status().ejected(), 0);
}

#[tokio::test(start_paused = true)]
async fn ejections_double_up_to_the_cap_and_end_with_one_trial() {
    let pool = pool(3);
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    let selector = selector(&pool);
    let mut begin = Instant::now();
    for _ in 0..5 {
        request(&pool, "0", FAILURE);
    }
    settle().await;
    for time in [30.0, 60.0, 120.0, 240.0, 300.0, 300.0] {
        assert_eq!(state(&pool, "0"), State::Ejected, "{time}");
        at(begin, time - 0.002).await;
        assert_eq!(state(&pool, "0"), State::Ejected, "{time}");
        at(begin, time + 0.002).await;
        assert_eq!(state(&pool, "0"), State::Trial, "{time}");

        // One request gets there, all others go elsewhere.
        let trial = only_one(&selector, 0);
        begin = Instant::now();
        trial.finish(FAILURE);
        settle().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_base_time_above_the_cap_is_the_cap() {
    let pool = pool(3);
    let ejection = exact().base_time(Duration::from_secs(400)).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    let (selector, mut begin) = (selector(&pool), Instant::now());
    requests(&pool, "0", 5, FAILURE);
    for _ in 0..2 {
        at(begin, 399.99).await;
        assert_eq!(state(&pool, "0"), State::Ejected);
        at(begin, 400.002).await;
        begin = Instant::now();
        only_one(&selector, 0).finish(FAILURE);
    }
}

#[tokio::test(start_paused = true)]
async fn jitter_lengthens_an_ejection_by_its_part_at_most_and_is_different_each_time() {
    let base = seed();
    let seeds = (0..200).map(|nth| base.wrapping_add(nth));
    let watched: Vec<_> = seeds
        .map(|seed| {
            let pool = pool(3);
            let ejection = Ejection::new().max_time(Duration::from_secs(40));
            let watching = Health::new().seed(seed).ejection(ejection).spawn(&pool);
            requests(&pool, "0", 5, FAILURE);
            (pool, watching)
        })
        .collect();
    for (time, most) in [(30.0, 33.0), (40.0, 44.0)] {
        let from = Instant::now();
        settle().await;
        let gone = from.elapsed().as_secs_f64();
        let times: Vec<f64> = watched
            .iter()
            .map(|(pool, _)| left(pool, "0") + gone)
            .collect();
        let shortest = times.iter().copied().fold(f64::MAX, f64::min);
        let longest = times.iter().copied().fold(0.0, f64::max);
        println!("{shortest} to {longest}");
        assert!(shortest >= time - 0.001 && longest <= most + 0.001);
        // Missed with a chance of 0.9^200 each.
        assert!(shortest < time * 1.01 && longest > time * 1.09);

        // The trial fails, and the next time is above the cap.
        at(from, most + 0.01).await;
        for (pool, _) in &watched {
            only_one(&selector(pool), 0).finish(FAILURE);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn ejections_become_shorter_after_intervals_without_one() {
    // The intervals end at 10, 20, …; it is out until 30, and tried then. The first without an
    // ejection or a trial is that from 40 to 50.
    for (again_at, time) in [(41.0, 60.0), (49.9, 60.0), (50.1, 30.0), (90.1, 30.0)] {
        let pool = pool(3);
        let _watching = Health::new().ejection(exact()).spawn(&pool);
        let begin = Instant::now();
        requests(&pool, "0", 5, FAILURE);
        at(begin, 30.5).await;
        only_one(&selector(&pool), 0).finish(Outcome::Success);
        at(begin, again_at).await;
        requests(&pool, "0", 5, FAILURE);
        let from = Instant::now();
        settle().await;
        let gone = from.elapsed().as_secs_f64();
        assert!((left(&pool, "0") + gone - time).abs() < 0.002, "{again_at}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_interval_without_an_ejection_takes_off_one_doubling() {
    // Ejected for 30 s and for 60 s, and back at 91: the intervals from 100 on are without one.
    for (again_at, time) in [(99.0, 120.0), (111.0, 60.0), (121.0, 30.0), (171.0, 30.0)] {
        let pool = pool(3);
        let _watching = Health::new().ejection(exact()).spawn(&pool);
        let begin = Instant::now();
        requests(&pool, "0", 5, FAILURE);
        at(begin, 30.5).await;
        only_one(&selector(&pool), 0).finish(FAILURE);
        at(begin, 91.0).await;
        only_one(&selector(&pool), 0).finish(Outcome::Success);
        settle().await;
        at(begin, again_at).await;
        requests(&pool, "0", 5, FAILURE);
        let from = Instant::now();
        settle().await;
        let gone = from.elapsed().as_secs_f64();
        assert!((left(&pool, "0") + gone - time).abs() < 0.002, "{again_at}");
    }
}
