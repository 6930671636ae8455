//! What a pool records of its backends' traffic, and what it says of itself as a whole.

#![cfg(feature = "tower")]

use std::time::Duration;

use allocation_counter::measure;
use evenkeel::backend::{BackendInfo, Completion, Failure, Outcome, State};
use evenkeel::health::{Ejection, Health};
use evenkeel::set::TierStatus;
use evenkeel::{Backend, Pool};
use tokio::time::sleep;

const FAILURE: Outcome = Outcome::Failure(Failure::Connect);

fn pool() -> Pool<()> {
    Pool::from(["a", "b", "c"].map(|id| Backend::new(id, ())))
}

fn start(pool: &Pool<()>, id: &str) -> Completion {
    let started = pool.start(|set| (0..set.len()).find(|&rank| set.id(rank) == id));
    started.expect("it is eligible").1
}

fn request(pool: &Pool<()>, id: &str, outcome: Outcome) {
    start(pool, id).finish(outcome);
}

/// How many requests have ended.
fn total(pool: &Pool<()>, id: &str) -> u64 {
    pool.get(id).expect("a member").counts().total()
}

async fn settle() {
    sleep(Duration::from_millis(6)).await;
    tokio::task::yield_now().await;
}

#[test]
fn outcomes_are_counted_by_kind_from_the_call_on() {
    let pool = pool();
    let before = start(&pool, "a");
    request(&pool, "a", Outcome::Success);
    assert_eq!(total(&pool, "a"), 0);

    pool.record_traffic();
    before.finish(Outcome::Success);
    let kinds = [
        (Failure::Connect, 1),
        (Failure::Timeout, 2),
        (Failure::Gateway, 3),
        (Failure::Response, 4),
        (Failure::Body, 5),
        (Failure::Other, 6),
    ];
    for (failure, count) in kinds {
        for _ in 0..count {
            request(&pool, "a", Outcome::Failure(failure));
        }
    }
    for (outcome, count) in [
        (Outcome::Success, 7),
        (Outcome::Rejected, 8),
        (Outcome::Cancelled, 9),
    ] {
        for _ in 0..count {
            request(&pool, "a", outcome);
        }
    }
    let counts = pool.get("a").unwrap().counts();
    assert!(counts.failures_by_kind().eq(kinds));
    assert_eq!(counts.failures(), 21);
    assert_eq!(
        (counts.successes(), counts.rejected(), counts.cancelled()),
        (7, 8, 9)
    );
    assert_eq!(counts.total(), 45);
    assert_eq!(total(&pool, "b"), 0);
}

#[test]
fn newcomers_are_recorded_too_and_begin_at_nothing() {
    let pool = pool();
    pool.record_traffic();
    request(&pool, "a", Outcome::Success);
    pool.remove("a");
    pool.insert(Backend::new("a", ()));
    assert_eq!(total(&pool, "a"), 0);
    request(&pool, "a", Outcome::Success);
    let a = pool.get("a").unwrap();
    assert_eq!(a.counts().successes(), 1);
    assert_eq!(a.latencies().expect("they are kept").samples(), 1);
}

#[tokio::test(start_paused = true)]
async fn recording_goes_on_when_health_is_watched_no_more() {
    let pool = pool();
    pool.record_traffic();
    let watching = Health::new().ejection(Ejection::none()).spawn(&pool);
    request(&pool, "a", Outcome::Success);
    drop(watching);
    settle().await;
    request(&pool, "a", Outcome::Success);
    let a = pool.get("a").unwrap();
    assert_eq!(a.counts().successes(), 2);
    assert_eq!(a.latencies().expect("they are kept").samples(), 2);
    assert!(!pool.status().is_watched());
}

#[tokio::test(start_paused = true)]
async fn a_watched_pool_knows_kinds_of_failures_and_keeps_no_latencies_unless_asked() {
    let pool = pool();
    let _watching = Health::new().spawn(&pool);
    request(&pool, "a", FAILURE);
    let a = pool.get("a").unwrap();
    assert_eq!(a.counts().failures_of(Failure::Connect), 1);
    assert!(a.latencies().is_none());
    let status = pool.status();
    assert!(status.is_watched() && !status.records_traffic());
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_nobody_watched_is_held_against_nobody() {
    let pool = pool();
    pool.record_traffic();
    for _ in 0..5 {
        request(&pool, "a", Outcome::Rejected);
    }
    let ejection = Ejection::none().failures_in_a_row(3).unwrap();
    let _watching = Health::new().ejection(ejection).spawn(&pool);
    settle().await;
    let info = pool.get("a").unwrap();
    assert_eq!(info.state(), State::Healthy);
    assert!((info.share() - 1.0).abs() < 1e-9, "{info}");

    // What happens from then on is.
    request(&pool, "a", Outcome::Rejected);
    settle().await;
    assert!(pool.get("a").unwrap().share() < 1.0);
    for _ in 0..3 {
        request(&pool, "b", FAILURE);
    }
    settle().await;
    assert_eq!(pool.get("b").unwrap().state(), State::Ejected);
}

#[tokio::test(start_paused = true)]
async fn percentiles_are_of_good_answers_and_of_what_ran_out_of_time() {
    let pool = pool();
    pool.record_traffic();
    // Until 10 ms, and then until 500 ms.
    let outcomes = [Outcome::Success, Outcome::Cancelled, FAILURE];
    let running: Vec<_> = outcomes
        .into_iter()
        .flat_map(|outcome| (0..98).map(move |_| outcome))
        .map(|outcome| (start(&pool, "a"), outcome))
        .collect();
    let late = [(); 2].map(|()| start(&pool, "a"));
    sleep(Duration::from_millis(10)).await;
    for (completion, outcome) in running {
        completion.finish(outcome);
    }
    sleep(Duration::from_millis(490)).await;
    for completion in late {
        completion.finish(Outcome::Failure(Failure::Timeout));
    }

    let status = pool.status();
    let of_a = status.backends()[0].latencies().cloned();
    assert_eq!(status.latencies(), of_a, "of the others there are none");
    let latencies = of_a.expect("they are kept");
    assert_eq!((latencies.samples(), latencies.total()), (100, 100));
    assert_eq!(latencies.sum(), Duration::from_millis(98 * 10 + 2 * 500));
    for (part, millis) in [(0.5, 10.0), (0.98, 10.0), (0.99, 500.0), (1.0, 500.0)] {
        let found = latencies.percentile(part).unwrap().as_secs_f64() * 1e3;
        assert!((found / millis - 1.0).abs() < 1.0 / 15.0, "{part}: {found}");
    }

    sleep(Duration::from_secs(60)).await;
    let a = pool.get("a").unwrap();
    assert_eq!(a.latency_percentile(0.5), None, "that was a minute ago");
    assert_eq!(a.latencies().unwrap().total(), 100);
}

#[test]
fn a_recorded_request_allocates_nothing() {
    let pool = pool();
    pool.record_traffic();
    let memory = |pool: &Pool<()>| {
        let allocated = measure(|| {
            for outcome in [Outcome::Success, FAILURE, Outcome::Rejected] {
                request(pool, "a", outcome);
            }
        });
        allocated.count_total
    };
    assert_eq!(memory(&pool), 0);
}

#[test]
fn a_status_has_each_backend_and_the_sums_of_all() {
    let pool = pool();
    pool.record_traffic();
    pool.insert(Backend::new("d", ()).priority(1));
    pool.drain("b");
    let _running = [start(&pool, "a"), start(&pool, "a"), start(&pool, "c")];
    request(&pool, "a", Outcome::Success);
    request(&pool, "c", FAILURE);

    let status = pool.status();
    let ids: Vec<&str> = status.backends().iter().map(BackendInfo::id).collect();
    assert_eq!(ids, ["a", "b", "c", "d"]);
    assert_eq!((status.members(), status.healthy()), (4, 3));
    assert_eq!(status.count_of(State::Draining), 1);
    assert_eq!((status.in_flight(), status.queued()), (3, 0));
    let counts = status.counts();
    assert_eq!((counts.successes(), counts.failures()), (1, 1));
    assert!(status.records_traffic() && !status.is_watched());
    let tiers: Vec<_> = status.tiers().iter().map(TierStatus::members).collect();
    assert_eq!(tiers, [3, 1]);
    assert_eq!(status.to_string(), "4 backends: 3 healthy, 1 draining");
}
