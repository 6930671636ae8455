use std::time::Duration;

use evenkeel::backend::{Completion, Failure, Outcome, State};
use evenkeel::health::Ejection;
use evenkeel::picker::{RoundRobin, Selector};
use evenkeel::{Backend, Pool};
use tokio::time::{Instant, sleep};

pub(crate) const FAILURE: Outcome = Outcome::Failure(Failure::Response);

pub(crate) fn pool(count: usize) -> Pool<usize> {
    let backends = (0..count).map(|at| Backend::new(at.to_string(), at));
    backends.collect()
}

/// The defaults, with times that are exact.
pub(crate) fn exact() -> Ejection {
    Ejection::new().jitter(0.0).unwrap()
}

pub(crate) fn state(pool: &Pool<usize>, id: &str) -> State {
    pool.get(id).expect("it is a member").state()
}

/// A request at the backend with this id, which has to be eligible.
pub(crate) fn start(pool: &Pool<usize>, id: &str) -> Completion {
    let started = pool.start(|set| (0..set.len()).find(|&rank| set.id(rank) == id));
    started.expect("it is eligible").1
}

pub(crate) fn request(pool: &Pool<usize>, id: &str, outcome: Outcome) {
    start(pool, id).finish(outcome);
}

/// Lets the watch do what it has to do now: what it finds within 5 ms of a change is one change.
pub(crate) async fn settle() {
    sleep(Duration::from_millis(6)).await;
    tokio::task::yield_now().await;
}

/// Waits until the time is `seconds` after `start`.
pub(crate) async fn at(start: Instant, seconds: f64) {
    tokio::time::sleep_until(start + Duration::from_secs_f64(seconds)).await;
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

pub(crate) fn selector(pool: &Pool<usize>) -> Selector<usize, ()> {
    Selector::new(pool.clone(), RoundRobin::starting_at(0))
}
