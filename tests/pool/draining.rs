//! Draining a backend, and waiting for its running requests.

use std::time::Duration;

use evenkeel::backend::{Completion, Outcome, State};
use evenkeel::balance::Attempt;
use evenkeel::{Backend, Pool};
use tokio::time::{Instant, sleep, timeout};

fn pool() -> Pool<()> {
    Pool::from([Backend::new("a", ()), Backend::new("b", ())])
}

fn start(pool: &Pool<()>, id: &str) -> Completion {
    let choose = |set: &dyn evenkeel::BackendSet| (0..set.len()).find(|&rank| set.id(rank) == id);
    pool.start(choose).expect("it is eligible").1
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_when_the_last_running_request_has_ended_and_no_sooner() {
    let pool = pool();
    let requests = [1, 2, 3].map(|seconds| (seconds, start(&pool, "a")));
    let other = start(&pool, "b");
    let drained = pool.drained("a").unwrap();
    assert_eq!(pool.get("a").unwrap().state(), State::Draining);
    for (seconds, request) in requests {
        tokio::spawn(async move {
            sleep(Duration::from_secs(seconds)).await;
            match seconds {
                3 => drop(request),
                _ => request.finish(Outcome::Success),
            }
        });
    }
    let begin = Instant::now();
    drained.await;
    assert_eq!(begin.elapsed(), Duration::from_secs(3));
    drop(other);
}

#[tokio::test]
async fn it_is_ready_at_once_when_nothing_runs() {
    let pool = pool();
    pool.drained("a").unwrap().await;
    start(&pool, "b").finish(Outcome::Success);
    pool.drained("b").unwrap().await;
    assert!(pool.drained("c").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_can_pass_and_the_backend_stays_drained() {
    let pool = pool();
    let request = start(&pool, "a");
    for _ in 0..3 {
        let drained = timeout(Duration::from_secs(30), pool.drained("a").unwrap());
        assert!(drained.await.is_err());
    }
    assert_eq!(pool.get("a").unwrap().state(), State::Draining);
    let drained = tokio::spawn(pool.drained("a").unwrap());
    request.finish(Outcome::Success);
    drained.await.unwrap();
}

#[tokio::test]
async fn it_outlives_the_membership_and_everyone_who_waits_is_told() {
    let pool = pool();
    let request = start(&pool, "a");
    let first = pool.drained("a").unwrap();
    let waiting = [(); 5].map(|()| tokio::spawn(pool.drained("a").unwrap()));
    tokio::task::yield_now().await;
    pool.remove("a");
    // Another one of this name, which has nothing to do with it.
    pool.insert(Backend::new("a", ()));
    let _new = start(&pool, "a");
    drop(first);

    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    request.finish(Outcome::Success);
    for waiting in waiting {
        waiting.await.unwrap();
    }
}

#[tokio::test]
async fn a_request_that_is_bound_to_it_is_waited_for_too() {
    let (gate, gates) = tokio::sync::oneshot::channel::<()>();
    let gates = std::sync::Arc::new(std::sync::Mutex::new(Some(gates)));
    let service = tower::service_fn(move |(): ()| {
        let gate = gates.lock().unwrap().take();
        async move {
            if let Some(gate) = gate {
                let _ = gate.await;
            }
            Ok::<_, std::convert::Infallible>(())
        }
    });
    let pool = Pool::from([Backend::new("a", service)]);
    let attempts = evenkeel::Balance::round_robin(pool.clone()).attempts();
    let a = pool.get("a").unwrap().handle();
    pool.drain("a");
    let bound = tokio::spawn(tower::ServiceExt::oneshot(attempts, Attempt::new(()).to(a)));
    tokio::task::yield_now().await;

    let drained = tokio::spawn(pool.drained("a").unwrap());
    tokio::task::yield_now().await;
    assert!(!drained.is_finished());
    gate.send(()).unwrap();
    bound.await.unwrap().unwrap();
    drained.await.unwrap();
}
