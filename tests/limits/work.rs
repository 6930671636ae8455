use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::balance::Attempt;
use evenkeel::picker::Context;
use evenkeel::set::{Limits, Rules};
use evenkeel::{Backend, BackendSet, Balance, Pool};
use tower::{Service, service_fn};

use crate::setup::{Server, pool, task};

/// A picker that counts how often it is asked.
fn counting(
    picks: &Arc<AtomicUsize>,
) -> impl Fn(&dyn BackendSet, &u32, &mut Context) -> Option<usize> + use<> {
    let picks = Arc::clone(picks);
    move |set, _, cx| {
        picks.fetch_add(1, Ordering::Relaxed);
        (!set.is_empty()).then(|| cx.random() as usize % set.len())
    }
}

fn full(backends: usize, limits: Limits) -> (Pool<Server>, Server) {
    let server = Server::new("a");
    let ids = 0..backends;
    let backends = ids.map(|id| Backend::new(id.to_string(), server.clone()));
    let pool: Pool<_> = backends.collect();
    pool.set_rules(Rules::new().limits(limits.max_in_flight(1)));
    (pool, server)
}

/// How often the picker was asked, and a request polled, for each of those who wait at so many full
/// backends, and are served one after the other.
fn work(backends: u32, waiting: u32) -> (f64, f64) {
    let (pool, server) = full(backends as usize, Limits::new().queue(waiting));
    let picks = Arc::default();
    let mut balance = Balance::new(pool, counting(&picks)).max_wait(Duration::from_secs(3600));
    let mut running: Vec<_> = (0..backends).map(|at| task(balance.call(at))).collect();
    for task in &mut running {
        assert!(task.poll().is_pending());
    }
    assert_eq!(server.now(), backends as usize);
    picks.store(0, Ordering::Relaxed);

    let mut polls = 0;
    let mut line: Vec<_> = (0..waiting).map(|at| task(balance.call(at))).collect();
    for task in &mut line {
        polls += 1;
        assert!(task.poll().is_pending());
    }
    for next in 0..line.len() {
        running.swap_remove(0);
        // Whoever was woken is polled, as by a runtime.
        for task in line.iter_mut().skip(next).take(3) {
            if task.was_woken() {
                polls += 1;
                assert!(task.poll().is_pending());
            }
        }
        assert_eq!(server.now(), backends as usize);
        running.push(std::mem::replace(&mut line[next], task(balance.call(0))));
    }
    let each = |count: usize| count as f64 / f64::from(waiting);
    (each(picks.load(Ordering::Relaxed)), each(polls))
}

#[tokio::test(start_paused = true)]
async fn each_of_ten_thousand_who_wait_is_looked_at_a_few_times() {
    for (backends, waiting) in [(3, 100), (3, 10_000), (1000, 2000)] {
        let (picks, polls) = work(backends, waiting);
        let what = format!("{waiting} at {backends}: {picks} picks, {polls} polls each");
        assert!(picks <= 3.0 && polls <= 3.0, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_elsewhere_does_not_pick_every_full_backend() {
    let (pool, _server) = full(100, Limits::new());
    let picks = Arc::default();
    let handle = pool.list()[0].handle();
    let balance = Balance::new(pool, counting(&picks));
    let mut running: Vec<_> = (0..100).map(|at| task(balance.clone().call(at))).collect();
    for task in &mut running {
        assert!(task.poll().is_pending());
    }
    picks.store(0, Ordering::Relaxed);
    let attempt = Attempt::new(0).not_on(handle).strictly();
    let error = balance.attempts().call(attempt).await.unwrap_err();
    assert!(error.is_overloaded(), "{error}");
    assert_eq!(picks.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_request_that_finds_room_allocates_nothing() {
    let service = service_fn(|_: u32| -> Ready<Result<(), Infallible>> { ready(Ok(())) });
    let pool = Pool::from(["a", "b"].map(|id| Backend::new(id, service)));
    pool.set_rules(Rules::new().limits(Limits::new().max_in_flight(10)));
    let mut balance = Balance::least_requests(pool);
    balance.call(0).await.unwrap();
    let mut future = None;
    let info = allocation_counter::measure(|| future = Some(balance.call(1)));
    assert_eq!(info.count_total, 0);
    future.unwrap().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn room_of_no_use_is_looked_at_once_by_each_of_those_who_cannot_use_it() {
    const WAITING: u32 = 200;
    let (pool, [a, _second]) = pool(Limits::new().max_in_flight(1).queue(WAITING));
    let mut balance = Balance::round_robin(pool.clone()).max_wait(Duration::from_secs(3600));
    let [first, second] = [0, 1].map(|request| balance.call(request));
    let on_a = if a.came() == [0] { first } else { second };
    let b = pool.get("b").unwrap().handle();
    let mut attempts = balance.attempts();
    let mut line: Vec<_> = (0..WAITING)
        .map(|request| task(attempts.call(Attempt::new(request).only(b))))
        .collect();
    for task in &mut line {
        assert!(task.poll().is_pending());
    }
    drop(on_a);
    let mut polls = 0;
    while let Some(task) = line.iter_mut().find(|task| task.was_woken()) {
        polls += 1;
        assert!(task.poll().is_pending());
    }
    assert_eq!((polls, pool.queued()), (WAITING, WAITING as usize));
}
