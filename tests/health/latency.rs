//! Backends that are slower than the others, by the rule that looks at an interval of ten seconds.

use std::time::Duration;

use evenkeel::Pool;
use evenkeel::backend::{Completion, Outcome, State};
use evenkeel::health::{Ejection, Health};
use tokio::time::{Instant, sleep};

use crate::setup::{at, pool, start, state};

/// None of the rules, with times that are exact, and no more than a few requests needed.
fn rules() -> Ejection {
    let ejection = Ejection::none().jitter(0.0).unwrap();
    ejection.minimum_requests(10).unwrap()
}

fn why(pool: &Pool<usize>, id: &str) -> String {
    let why = pool.get(id).unwrap().why().map(ToString::to_string);
    why.unwrap_or_default()
}

fn many(pool: &Pool<usize>, id: usize, count: usize) -> Vec<Completion> {
    (0..count).map(|_| start(pool, &id.to_string())).collect()
}

/// Requests at each backend that take so many milliseconds, at most 1,000.
async fn take(pool: &Pool<usize>, count: usize, millis: &[u64]) {
    let mut running: Vec<_> = millis
        .iter()
        .enumerate()
        .map(|(id, &millis)| (millis, many(pool, id, count)))
        .collect();
    running.sort_by_key(|(millis, _)| *millis);
    let begin = Instant::now();
    for (millis, completions) in running {
        tokio::time::sleep_until(begin + Duration::from_millis(millis)).await;
        for completion in completions {
            completion.finish(Outcome::Success);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_is_slow_above_the_factor_times_the_median_and_above_the_floor() {
    let millis = Duration::from_millis;
    for (took, floor, expected) in [
        ([30, 10, 10, 10, 10], millis(0), State::Healthy),
        ([31, 10, 10, 10, 10], millis(0), State::Ejected),
        ([31, 10, 10, 10, 10], millis(31), State::Healthy),
        ([32, 10, 10, 10, 10], millis(31), State::Ejected),
        // The median, not the mean: others may be slow, too.
        ([31, 31, 10, 10, 2], millis(0), State::Ejected),
        ([31, 31, 11, 10, 10], millis(0), State::Healthy),
    ] {
        let pool = pool(5);
        let ejection = rules().latency(3.0, floor).unwrap();
        let ejection = ejection.max_ejected(0.5).unwrap();
        let _watching = Health::new().ejection(ejection).spawn(&pool);
        let begin = Instant::now();
        // Of measured ones a quarter of ten, rounded up, is needed; all of these are.
        take(&pool, 3, &took).await;
        at(begin, 10.01).await;
        assert_eq!(state(&pool, "0"), expected, "{took:?} {floor:?}");
        if expected == State::Ejected && floor.is_zero() {
            assert_eq!(
                why(&pool, "0"),
                "it took 31.0ms, where 30.0ms would have done"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn of_an_even_number_the_lower_median_counts() {
    let pool = pool(2);
    let ejection = rules().latency(3.0, Duration::ZERO).unwrap();
    let ejection = ejection.minimum_backends(2).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    let begin = Instant::now();
    take(&pool, 3, &[10, 31]).await;
    at(begin, 10.01).await;
    assert_eq!(state(&pool, "1"), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn too_few_measured_requests_say_nothing_about_latency() {
    let pool = pool(5);
    let ejection = rules().latency(3.0, Duration::ZERO).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    let begin = Instant::now();
    take(&pool, 1, &[100, 10, 10, 10, 10]).await;
    at(begin, 10.01).await;
    assert_eq!(pool.status().healthy(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_is_slow() {
    let pool = pool(5);
    let ejection = rules().latency(3.0, Duration::from_millis(50)).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    let begin = Instant::now();
    let hanging = many(&pool, 0, 3);
    take(&pool, 3, &[10, 10, 10, 10, 10]).await;
    at(begin, 10.01).await;
    assert_eq!(state(&pool, "0"), State::Ejected);
    drop(hanging);
}

#[tokio::test(start_paused = true)]
async fn requests_that_hang_are_measured_without_any_answer() {
    for (count, expected) in [(1, State::Healthy), (2, State::Ejected)] {
        let pool = pool(5);
        let ejection = rules().latency(3.0, Duration::from_millis(50)).unwrap();
        let _watching = Health::new().ejection(ejection).spawn(&pool);
        let begin = Instant::now();
        let hanging = many(&pool, 0, count);
        for id in 1..5 {
            for completion in many(&pool, id, 3) {
                completion.finish(Outcome::Success);
            }
        }
        at(begin, 10.01).await;
        assert_eq!(state(&pool, "0"), expected, "{count}");
        if expected == State::Ejected {
            let why = why(&pool, "0");
            assert_eq!(why, "it took 10.0s, where 50.0ms would have done");
        }
        drop(hanging);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_given_up_late_are_slow_ones() {
    let pool = pool(5);
    let ejection = rules().latency(3.0, Duration::from_millis(50)).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    let begin = Instant::now();
    take(&pool, 10, &[10, 10, 10, 10, 10]).await;
    at(begin, 10.01).await;
    let late = many(&pool, 0, 5);
    take(&pool, 10, &[10, 10, 10, 10, 10]).await;
    at(begin, 11.0).await;
    drop(late);
    at(begin, 20.01).await;
    assert_eq!(state(&pool, "0"), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_given_up_soon_do_not_make_a_backend_look_fast() {
    let pool = pool(5);
    let ejection = rules().latency(3.0, Duration::from_millis(50)).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    let begin = Instant::now();
    take(&pool, 10, &[10, 10, 10, 10, 10]).await;
    at(begin, 10.01).await;
    let soon = many(&pool, 0, 50);
    sleep(Duration::from_millis(5)).await;
    drop(soon);
    // The few that are answered are slow: 60 ms, and not about 14.
    take(&pool, 10, &[60, 10, 10, 10, 10]).await;
    at(begin, 20.01).await;
    assert_eq!(state(&pool, "0"), State::Ejected);
}
