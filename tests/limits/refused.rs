use std::error::Error as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::limit::Overloaded;
use evenkeel::retry::RetryLayer;
use evenkeel::set::Limits;
use evenkeel::{Balance, Error};
use tower::{Layer, Service, ServiceExt};

use crate::setup::{pool, settle, task};

#[tokio::test(start_paused = true)]
async fn the_error_says_what_was_full_for_how_long_and_when_to_try_again() {
    let after = Duration::from_secs(7);
    let (pool, [_a]) = pool(Limits::new().max_in_flight(1).retry_after(after).unwrap());
    let mut balance = Balance::round_robin(pool.clone()).max_wait(Duration::from_millis(1500));
    let _held = balance.call(0);
    let mut other = task(balance.clone().max_wait(Duration::from_secs(60)).call(1));
    assert!(other.poll().is_pending());
    let error = balance.call(2).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "overloaded: all backends are full and 1 in the queue, waited 1.500 s"
    );
    assert!(error.source().is_none() && !error.is_no_backend());
    assert_eq!((error.retry_after(), error.backend()), (Some(after), None));
    let Error::Overloaded(overloaded) = error else {
        panic!("it is overloaded");
    };
    let expected: (Option<usize>, usize) = (None, 1);
    assert_eq!((overloaded.max_in_flight(), overloaded.queued()), expected);
    assert_eq!(Overloaded::waited(&overloaded), Duration::from_millis(1500));
}

#[tokio::test(start_paused = true)]
async fn what_is_full_and_how_many_wait_can_be_asked() {
    let (pool, [a]) = pool(Limits::new().max_in_flight(10));
    assert_eq!(pool.queued(), 0);
    let mut balance = Balance::round_robin(pool.clone());
    let _held: Vec<_> = (0..3).map(|at| balance.call(at)).collect();
    let info = pool.get("a").unwrap();
    assert_eq!((info.in_flight(), info.max_in_flight()), (3, Some(10)));
    assert_eq!(info.to_string(), "a: healthy, weight 1, 3 of 10 in flight");
    pool.set_rules(evenkeel::set::Rules::new());
    let info = pool.get("a").unwrap();
    assert_eq!(info.max_in_flight(), None);
    assert_eq!(info.to_string(), "a: healthy, weight 1, 3 in flight");
    assert_eq!(a.now(), 3);
}

#[tokio::test(start_paused = true)]
async fn retries_wait_for_room_like_all_and_never_ask_a_full_pool_again() {
    let (pool, [a, b]) = pool(Limits::new().max_in_flight(1).queue(0));
    let balance = Balance::round_robin(pool.clone());
    let repeats = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&repeats);
    let layer = RetryLayer::new(move |_: &u32| {
        counted.fetch_add(1, Ordering::Relaxed);
        true
    });
    let service = layer.layer(balance);
    let running = [0, 1].map(|at| tokio::spawn(service.clone().oneshot(at)));
    settle().await;
    assert_eq!((a.now(), b.now()), (1, 1));
    let error = service.clone().oneshot(2).await.unwrap_err();
    assert!(error.is_overloaded(), "{error}");
    assert!(error.attempts().is_empty());
    a.end(1).await;
    b.end(1).await;
    for request in running {
        request.await.unwrap().unwrap();
    }
    assert!(pool.list().iter().all(|info| info.in_flight() == 0));
}
