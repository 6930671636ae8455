use evenkeel::backend::{Outcome, State};
use evenkeel::health::Health;
use tokio::time::Instant;

use crate::setup::{FAILURE, at, exact, pool, request, selector, settle, state};

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
        let started: Vec<_> = (0..30).map(|_| selector.select(&()).unwrap()).collect();
        let (mut trials, others): (Vec<_>, Vec<_>) =
            started.into_iter().partition(|(value, _)| *value == 0);
        assert_eq!(trials.len(), 1);
        drop(others);
        begin = Instant::now();
        trials.remove(0).1.finish(FAILURE);
        settle().await;
    }
}
