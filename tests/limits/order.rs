use std::time::Duration;

use evenkeel::balance::Attempt;
use evenkeel::picker::{NoBackend, Ordered, RoundRobin, Selector};
use evenkeel::set::Limits;
use evenkeel::{Balance, Pool};
use tower::Service;

use crate::setup::{Server, pool, settle, task};

fn limits() -> Limits {
    Limits::new().max_in_flight(1)
}

fn balance(pool: &Pool<Server>) -> Balance<Server, u32> {
    Balance::new(pool.clone(), RoundRobin::starting_at(0)).max_wait(Duration::from_secs(3600))
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_does_not_overtake_one_who_was_called_and_has_not_run_yet() {
    let (pool, [a]) = pool(limits());
    let (mut balance, mut other) = (balance(&pool), balance(&pool));
    let running = balance.call(0);
    let mut waits = task(balance.call(1));
    assert!(waits.poll().is_pending());
    drop(running);
    // There is room, for the one who waits.
    assert_eq!((a.now(), waits.wakes()), (0, 1));
    let mut newcomer = task(other.call(2));
    assert!(newcomer.poll().is_pending());
    let selector = Selector::new(pool.clone(), RoundRobin::new());
    assert!(matches!(selector.select(&3), Err(NoBackend::Full)));
    assert!(pool.start(|_| Some(0)).is_none());
    assert!(waits.poll().is_pending());
    assert_eq!(a.came(), [0, 1]);
    drop(waits);
    assert!(newcomer.poll().is_pending());
    assert_eq!(a.came(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn one_who_was_called_and_is_dropped_hands_that_on() {
    let (pool, [a]) = pool(limits());
    let mut balance = balance(&pool);
    let running = balance.call(0);
    let [mut second, mut third] = [1, 2].map(|request| task(balance.call(request)));
    assert!(second.poll().is_pending() && third.poll().is_pending());
    drop(running);
    assert_eq!((second.wakes(), third.wakes()), (1, 0));
    drop(second);
    assert_eq!(third.wakes(), 1);
    assert!(third.poll().is_pending());
    assert_eq!(a.came(), [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn two_rooms_given_back_before_the_only_one_who_was_called_runs_serve_the_next_too() {
    let (pool, [a, b]) = pool(limits());
    let mut balance = balance(&pool);
    let running = [0, 1].map(|request| balance.call(request));
    let mut first = task(balance.call(2));
    assert!(first.poll().is_pending());
    drop(running);
    let mut second = task(balance.call(3));
    assert!(second.poll().is_pending());
    assert_eq!(second.wakes(), 0);
    assert!(first.poll().is_pending());
    assert_eq!(second.wakes(), 1);
    assert!(second.poll().is_pending());
    assert_eq!((a.now(), b.now(), pool.queued()), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn who_has_been_told_that_it_is_too_late_stands_in_nobodys_way() {
    let (pool, [a]) = pool(limits());
    let mut balance = balance(&pool);
    let running = balance.call(0);
    let impatient = balance.clone().max_wait(Duration::from_secs(1)).call(1);
    let mut impatient = std::pin::pin!(impatient);
    let mut patient = task(balance.call(2));
    assert!(poll(impatient.as_mut()).is_pending());
    assert!(patient.poll().is_pending());
    assert!(impatient.as_mut().await.unwrap_err().is_overloaded());
    // It is kept by its caller, though it is of no use any more.
    assert_eq!(pool.queued(), 1);
    drop(running);
    assert_eq!(patient.wakes(), 1);
    assert!(patient.poll().is_pending());
    assert_eq!(a.came(), [0, 2]);
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> std::task::Poll<F::Output> {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop()))
}

#[tokio::test(start_paused = true)]
async fn one_who_has_to_go_to_a_certain_backend_holds_up_nobody() {
    let (pool, [a, b]) = pool(limits());
    let mut balance = Balance::new(pool.clone(), Ordered::new());
    let [mut on_a, mut on_b] = [0, 1].map(|request| task(balance.call(request)));
    assert!(on_a.poll().is_pending() && on_b.poll().is_pending());
    let [only_b, not_on_a] = {
        let [a, b] = ["a", "b"].map(|id| pool.get(id).unwrap().handle());
        let mut attempts = balance.clone().attempts();
        let attempts = [Attempt::new(10).only(b), Attempt::new(11).not_on(a)]
            .map(|attempt| attempts.call(attempt));
        attempts.map(task)
    };
    let (mut only_b, mut not_on_a) = (only_b, not_on_a);
    assert!(only_b.poll().is_pending() && not_on_a.poll().is_pending());
    let mut anyone = task(balance.call(2));
    assert!(anyone.poll().is_pending());
    assert_eq!(pool.queued(), 3);

    // The room is at a, of no use to those in front.
    drop(on_a);
    for task in [&mut only_b, &mut not_on_a] {
        assert!(task.poll().is_pending());
    }
    assert!(anyone.poll().is_pending());
    assert_eq!((a.came(), b.came()), (vec![0, 2], vec![1]));
    // Then at b, in the order of those who wait for it.
    drop(on_b);
    assert!(only_b.poll().is_pending() && not_on_a.poll().is_pending());
    assert_eq!(b.came(), [1, 10]);
    assert_eq!(pool.queued(), 1);
    drop(only_b);
    assert!(not_on_a.poll().is_pending());
    assert_eq!(b.came(), [1, 10, 11]);
    assert_eq!(pool.queued(), 0);
}

#[tokio::test(start_paused = true)]
async fn both_queues_have_a_bound_and_with_none_requests_fail_at_once() {
    for queue in [0, 3] {
        let (pool, [_a]) = pool(limits().queue(queue));
        let mut balance = balance(&pool);
        let mut attempts = balance.clone().attempts();
        let _running = balance.call(0);
        let a = pool.get("a").unwrap().handle();
        let mut waiting = Vec::new();
        for request in 0..queue {
            let mut anyone = Box::pin(balance.call(request));
            let mut choosy = Box::pin(attempts.call(Attempt::new(request).only(a)));
            assert!(poll(anyone.as_mut()).is_pending());
            assert!(poll(choosy.as_mut()).is_pending());
            waiting.push((anyone, choosy));
        }
        let anyone = balance.call(9).await.unwrap_err();
        let choosy = attempts.call(Attempt::new(9).only(a)).await.unwrap_err();
        for error in [anyone, choosy] {
            assert!(error.is_overloaded(), "{error}");
            let queued = 2 * queue;
            let expected = format!("overloaded: all backends are full and {queued} in the queue");
            let text =
                std::error::Error::source(&error).map_or(error.to_string(), ToString::to_string);
            assert_eq!(text, expected);
        }
        drop(waiting);
        assert_eq!(pool.queued(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_to_wait_ends_with_the_deadline() {
    let (pool, [a]) = pool(limits());
    let mut balance = balance(&pool);
    let running = balance.call(0);
    let now = tokio::time::Instant::now();
    let deadline = now.into_std() + Duration::from_millis(250);
    let attempt = Attempt::new(1).deadline(deadline);
    let error = balance.clone().attempts().call(attempt).await.unwrap_err();
    assert!(error.is_deadline_exceeded(), "{error}");
    assert!(now.elapsed() < Duration::from_millis(252));
    drop(running);
    let _next = balance.call(2);
    assert_eq!((a.came(), pool.queued()), (vec![0, 2], 0));
}

#[tokio::test(start_paused = true)]
async fn a_backend_with_a_limit_of_zero_gets_nothing() {
    let (pool, [a, b]) = pool(Limits::new());
    pool.insert(evenkeel::Backend::new("a", a.clone()).max_in_flight(0));
    let mut balance = balance(&pool);
    let mut running: Vec<_> = (0..10).map(|request| task(balance.call(request))).collect();
    for task in &mut running {
        assert!(task.poll().is_pending());
    }
    assert_eq!((a.now(), b.now()), (0, 10));
    pool.insert(evenkeel::Backend::new("b", b.clone()).max_in_flight(0));
    let mut waits = task(balance.call(10));
    assert!(waits.poll().is_pending());
    drop(running);
    assert!(waits.poll().is_pending());
    assert_eq!((a.now(), b.now(), pool.queued()), (0, 0, 1));
    pool.insert(evenkeel::Backend::new("a", a.clone()).max_in_flight(1));
    assert!(waits.poll().is_pending());
    assert_eq!((a.now(), b.now(), pool.queued()), (1, 0, 0));
    a.end(1).await;
    settle().await;
}
