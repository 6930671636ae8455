//! How an ejected backend comes back.

use evenkeel::Pool;
use evenkeel::backend::{Completion, Failure, Outcome, State};
use evenkeel::health::{Health, Watching};
use evenkeel::picker::Selector;
use tokio::time::Instant;

use crate::setup::{
    FAILURE, at, exact, only_one, pool, request, requests, selector, settle, state,
};

/// A pool of three, of which "0" was ejected 30 seconds ago, and is on trial.
struct Trial {
    pool: Pool<usize>,
    selector: Selector<usize, ()>,
    /// When it began.
    begin: Instant,
    _watching: Watching,
}

impl Trial {
    async fn new() -> Self {
        let pool = pool(3);
        let watching = Health::new().ejection(exact()).spawn(&pool);
        let begin = Instant::now();
        requests(&pool, "0", 5, FAILURE);
        at(begin, 30.001).await;
        assert_eq!(state(&pool, "0"), State::Trial);
        let begin = Instant::now();
        Self {
            selector: selector(&pool),
            pool,
            begin,
            _watching: watching,
        }
    }

    fn take(&self) -> Completion {
        only_one(&self.selector, 0)
    }

    /// None of many requests goes there.
    fn is_taken(&self) -> bool {
        let mut started = (0..50).map(|_| self.selector.select(&()).unwrap().0);
        started.all(|value| value != 0)
    }

    fn state(&self) -> State {
        state(&self.pool, "0")
    }

    /// How long it is out, in whole seconds.
    fn out(&self) -> u64 {
        let until = self.pool.get("0").unwrap().until().expect("it is ejected");
        let left = until.duration_since(Instant::now().into_std());
        left.as_secs_f64().round() as u64
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_is_tried_again_at_the_very_moment_that_its_ejection_ends() {
    let pool = pool(3);
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    requests(&pool, "0", 5, FAILURE);
    settle().await;
    let until = Instant::from_std(pool.get("0").unwrap().until().unwrap());
    tokio::time::sleep_until(until - std::time::Duration::from_millis(1)).await;
    assert_eq!(state(&pool, "0"), State::Ejected);
    at(until, 0.0).await;
    assert_eq!(state(&pool, "0"), State::Trial);
    assert_eq!(pool.get("0").unwrap().until(), None);
    assert_eq!(pool.status().ejected(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_success_of_a_trial_takes_a_backend_back_with_a_clean_record() {
    let trial = Trial::new().await;
    let one = trial.take();
    assert!(trial.is_taken());
    one.finish(Outcome::Success);
    settle().await;
    assert_eq!(trial.state(), State::Healthy);
    requests(&trial.pool, "0", 4, FAILURE);
    settle().await;
    assert_eq!(trial.state(), State::Healthy);
    request(&trial.pool, "0", FAILURE);
    settle().await;
    assert_eq!(trial.state(), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn after_a_trial_that_was_cancelled_or_rejected_the_next_request_may_be_one() {
    let trial = Trial::new().await;
    for _ in 0..3 {
        let one = trial.take();
        assert!(trial.is_taken());
        drop(one);
        let one = trial.take();
        one.finish(Outcome::Rejected);
        settle().await;
        assert_eq!(trial.state(), State::Trial);
    }
    trial.take().finish(Outcome::Success);
    settle().await;
    assert_eq!(trial.state(), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn the_failure_of_a_trial_ejects_for_longer() {
    let trial = Trial::new().await;
    trial.take().finish(FAILURE);
    settle().await;
    assert_eq!((trial.state(), trial.out()), (State::Ejected, 60));
    let why = trial.pool.get("0").unwrap().why().unwrap().to_string();
    assert_eq!(why, "its trial request failed");
}

#[tokio::test(start_paused = true)]
async fn a_failed_head_ends_a_trial_before_its_request_does() {
    let trial = Trial::new().await;
    let mut one = trial.take();
    one.settle(FAILURE);
    settle().await;
    assert_eq!(trial.state(), State::Ejected);
    one.finish(Outcome::Success);
    settle().await;
    assert_eq!((trial.state(), trial.out()), (State::Ejected, 60));
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_hangs_for_an_interval_ejects_and_what_it_says_later_changes_nothing() {
    for late in [Outcome::Success, FAILURE] {
        let trial = Trial::new().await;
        let one = trial.take();
        at(trial.begin, 9.99).await;
        assert_eq!(trial.state(), State::Trial);
        at(trial.begin, 10.01).await;
        assert_eq!((trial.state(), trial.out()), (State::Ejected, 60));
        let why = trial.pool.get("0").unwrap().why().unwrap().to_string();
        assert_eq!(why, "its trial request got no answer");
        one.finish(late);
        settle().await;
        assert_eq!((trial.state(), trial.out()), (State::Ejected, 60));
    }
}

#[tokio::test(start_paused = true)]
async fn a_trial_of_the_past_does_not_end_the_present_one() {
    for late in [Outcome::Success, FAILURE, Outcome::Cancelled] {
        let trial = Trial::new().await;
        let past = trial.take();
        at(trial.begin, 70.02).await;
        assert_eq!(trial.state(), State::Trial);
        let present = trial.take();
        past.finish(late);
        settle().await;
        assert_eq!(trial.state(), State::Trial, "{late:?}");
        assert!(trial.is_taken(), "{late:?}");
        present.finish(Outcome::Success);
        settle().await;
        assert_eq!(trial.state(), State::Healthy, "{late:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_nobody_tries_for_an_interval_is_taken_back() {
    let trial = Trial::new().await;
    at(trial.begin, 9.99).await;
    assert_eq!(trial.state(), State::Trial);
    at(trial.begin, 10.01).await;
    assert_eq!(trial.state(), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_began_well_and_streams_on_is_a_success_at_the_end_of_the_interval() {
    let trial = Trial::new().await;
    let mut one = trial.take();
    one.head();
    at(trial.begin, 9.99).await;
    assert_eq!(trial.state(), State::Trial);
    at(trial.begin, 10.01).await;
    assert_eq!(trial.state(), State::Healthy);
    // From then on it is a request like any other.
    one.finish(Outcome::Failure(Failure::Body));
    requests(&trial.pool, "0", 3, FAILURE);
    settle().await;
    assert_eq!(trial.state(), State::Healthy);
    request(&trial.pool, "0", FAILURE);
    settle().await;
    assert_eq!(trial.state(), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn a_trial_that_began_well_fails_if_it_breaks_off_and_passes_if_its_reader_leaves() {
    let trial = Trial::new().await;
    let mut one = trial.take();
    one.head();
    one.finish(Outcome::Failure(Failure::Body));
    settle().await;
    assert_eq!((trial.state(), trial.out()), (State::Ejected, 60));

    let trial = Trial::new().await;
    let mut one = trial.take();
    one.head();
    drop(one);
    settle().await;
    assert_eq!(trial.state(), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn failures_of_requests_from_before_the_ejection_are_no_trials() {
    let pool = pool(3);
    let _watching = Health::new().ejection(exact()).spawn(&pool);
    let begin = Instant::now();
    let before: Vec<_> = (0..9).map(|_| crate::setup::start(&pool, "0")).collect();
    requests(&pool, "0", 5, FAILURE);
    at(begin, 30.01).await;
    for completion in before {
        completion.finish(FAILURE);
    }
    settle().await;
    assert_eq!(state(&pool, "0"), State::Trial);
    only_one(&selector(&pool), 0).finish(Outcome::Success);
    settle().await;
    assert_eq!(state(&pool, "0"), State::Healthy);
}
