use std::time::Duration;

use evenkeel::backend::{AdaptiveLimit, Outcome};
use evenkeel::picker::{RoundRobin, Selector};
use evenkeel::set::{Limits, Rules};
use evenkeel::{Backend, Balance, Pool};
use tokio::task::JoinHandle;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Service, ServiceExt, service_fn};

use crate::setup::{Server, pool, settle, task};

type Requests = Vec<JoinHandle<Result<&'static str, evenkeel::Error>>>;

/// A pool of `a`, which takes 2 at once and has them, and three more that wait.
async fn three_wait() -> (Pool<Server>, Server, Requests) {
    let (pool, [a]) = pool(Limits::new().max_in_flight(2));
    let balance = Balance::round_robin(pool.clone()).max_wait(Duration::from_secs(3600));
    let mut requests = Vec::new();
    for request in 0..5 {
        requests.push(tokio::spawn(balance.clone().oneshot(request)));
        settle().await;
    }
    assert_eq!((a.came(), pool.queued()), (vec![0, 1], 3));
    (pool, a, requests)
}

/// All are answered, and nothing is left.
async fn all_end(pool: &Pool<Server>, servers: &[&Server], requests: Requests) {
    for server in servers {
        server.end(requests.len()).await;
    }
    for request in requests {
        request.await.unwrap().unwrap();
    }
    assert_eq!(pool.queued(), 0);
    assert!(pool.list().iter().all(|info| info.in_flight() == 0));
}

fn set(pool: &Pool<Server>, limits: Limits) {
    pool.set_rules(Rules::new().limits(limits));
}

#[tokio::test(start_paused = true)]
async fn who_waits_goes_to_a_backend_that_joins() {
    let (pool, a, requests) = three_wait().await;
    let b = Server::new("b");
    pool.insert(Backend::new("b", b.clone()));
    settle().await;
    assert_eq!((b.came(), pool.queued()), (vec![2, 3], 1));
    all_end(&pool, &[&a, &b], requests).await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_let_in_by_a_limit_that_is_raised_or_removed() {
    for limits in [Limits::new().max_in_flight(4), Limits::new()] {
        let (pool, a, requests) = three_wait().await;
        let left = limits == Limits::new().max_in_flight(4);
        set(&pool, limits);
        settle().await;
        assert_eq!(
            (a.now(), pool.queued()),
            (5 - usize::from(left), usize::from(left))
        );
        all_end(&pool, &[&a], requests).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_lowered_lets_requests_end_before_the_next_come() {
    let (pool, a, requests) = three_wait().await;
    set(&pool, Limits::new().max_in_flight(1));
    a.end(1).await;
    assert_eq!((a.now(), pool.queued()), (1, 3));
    a.end(1).await;
    assert_eq!((a.now(), pool.queued()), (1, 2));
    all_end(&pool, &[&a], requests).await;
}

#[tokio::test(start_paused = true)]
async fn a_full_backend_that_leaves_is_not_waited_for_and_keeps_what_it_has() {
    type Leave = fn(&Pool<Server>);
    let ways: [(&str, Leave); 4] = [
        ("removed", |pool| _ = pool.remove("a")),
        ("drained", |pool| _ = pool.edit(|edit| edit.drain("a"))),
        ("forced down", |pool| {
            _ = pool.edit(|edit| edit.force_down("a"));
        }),
        ("without weight", |pool| _ = pool.set_weight("a", 0)),
    ];
    for (way, leave) in ways {
        let (pool, a, requests) = three_wait().await;
        leave(&pool);
        settle().await;
        // They wait for any backend, and in no line.
        assert_eq!((a.now(), pool.queued()), (2, 0), "{way}");
        let b = Server::new("b");
        pool.insert(Backend::new("b", b.clone()));
        settle().await;
        assert_eq!((a.now(), b.now(), pool.queued()), (2, 2, 1), "{way}");
        a.end(2).await;
        assert_eq!((a.now(), b.now(), pool.queued()), (0, 2, 1), "{way}");
        all_end(&pool, &[&a, &b], requests).await;
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_service_to_be_ready_is_not_turned_away_since_others_are_full() {
    type Service1 = BoxCloneSyncService<u32, &'static str, BoxError>;
    let full: Service1 = BoxCloneSyncService::new(service_fn(|_| std::future::pending()));
    let late = Late(tokio::time::Instant::now() + Duration::from_millis(300));
    let late: Service1 = BoxCloneSyncService::new(late);
    let pool = Pool::from([Backend::new("full", full), Backend::new("late", late)]);
    pool.set_rules(Rules::new().limits(Limits::new().max_in_flight(1).queue(0)));
    let mut balance = Balance::new(pool, RoundRobin::starting_at(0));
    let _held = balance.call(0);
    assert_eq!(balance.call(1).await.unwrap(), "late");
}

/// Not ready before a time.
#[derive(Clone)]
struct Late(tokio::time::Instant);

impl Service<u32> for Late {
    type Response = &'static str;
    type Error = BoxError;
    type Future = std::future::Ready<Result<&'static str, BoxError>>;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        if tokio::time::Instant::now() >= self.0 {
            return std::task::Poll::Ready(Ok(()));
        }
        let (waker, at) = (cx.waker().clone(), self.0);
        tokio::spawn(async move {
            tokio::time::sleep_until(at).await;
            waker.wake();
        });
        std::task::Poll::Pending
    }

    fn call(&mut self, _request: u32) -> Self::Future {
        std::future::ready(Ok("late"))
    }
}

#[test]
fn a_limit_that_adapts_falls_when_its_backend_says_that_it_has_enough() {
    let pool = Pool::from([Backend::new("a", ())]);
    let adaptive = AdaptiveLimit::aimd().initial(20).unwrap();
    pool.set_rules(Rules::new().limits(Limits::new().adaptive(adaptive)));
    let selector = Selector::new(pool.clone(), RoundRobin::new());
    let limit = || pool.list()[0].max_in_flight().unwrap();
    let mut before = limit();
    assert_eq!(before, 20);
    for _ in 0..5 {
        let full: Vec<_> = std::iter::from_fn(|| selector.select(&()).ok()).collect();
        assert_eq!(full.len(), before);
        for ((), completion) in full {
            completion.finish(Outcome::Rejected);
        }
        assert!(limit() < before, "{before}");
        before = limit();
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_let_in_by_a_limit_that_rises_by_itself() {
    let pool = Pool::from([Backend::new("a", Server::new("a"))]);
    let server = pool.value("a").unwrap();
    let adaptive = AdaptiveLimit::aimd()
        .bounds(1, 100)
        .unwrap()
        .initial(2)
        .unwrap();
    pool.set_rules(Rules::new().limits(Limits::new().adaptive(adaptive)));
    let balance = Balance::round_robin(pool.clone()).max_wait(Duration::from_secs(3600));
    let requests: Requests = (0..300)
        .map(|at| tokio::spawn(balance.clone().oneshot(at)))
        .collect();
    settle().await;
    assert_eq!((server.now(), pool.queued()), (2, 298));
    for _ in 0..200 {
        server.end(1).await;
        let limit = pool.list()[0].max_in_flight().unwrap();
        assert_eq!(server.now(), limit.min(server.now() + pool.queued()));
    }
    assert!(pool.list()[0].max_in_flight().unwrap() > 5);
    all_end(&pool, &[&server], requests).await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_let_in_when_a_limit_rises_though_no_response_has_ended() {
    let pool = Pool::from([Backend::new("a", Server::new("a"))]);
    let server = pool.value("a").unwrap();
    let adaptive = AdaptiveLimit::aimd().initial(40).unwrap();
    pool.set_rules(Rules::new().limits(Limits::new().adaptive(adaptive)));
    let selector = Selector::new(pool.clone(), RoundRobin::new());
    let mut held: Vec<_> = (0..40).map(|_| selector.select(&()).unwrap()).collect();
    let mut balance = Balance::round_robin(pool.clone()).max_wait(Duration::from_secs(3600));
    let mut waiting: Vec<_> = (0..5).map(|at| task(balance.call(at))).collect();
    for task in &mut waiting {
        assert!(task.poll().is_pending());
    }
    for (_, completion) in &mut held {
        completion.head();
    }
    let room = pool.list()[0].max_in_flight().unwrap() - 40;
    assert!(room > 0);
    for task in waiting.iter_mut().filter(|task| task.was_woken()) {
        assert!(task.poll().is_pending());
    }
    assert_eq!(server.now(), room);
}
