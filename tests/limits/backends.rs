use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::set::{Limits, Rules};
use evenkeel::{Backend, Balance, Error, Pool};
use tokio::time::sleep;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

type Service = BoxCloneSyncService<u64, &'static str, std::convert::Infallible>;

/// Takes so many milliseconds as it is told, and knows the most that it had at once.
fn server(name: &'static str, most: Arc<AtomicUsize>) -> Service {
    let now = Arc::new(AtomicUsize::new(0));
    BoxCloneSyncService::new(service_fn(move |millis: u64| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            struct Gone(Arc<AtomicUsize>);
            impl Drop for Gone {
                fn drop(&mut self) {
                    self.0.fetch_sub(1, Ordering::Relaxed);
                }
            }
            let here = now.fetch_add(1, Ordering::Relaxed) + 1;
            let _gone = Gone(now);
            most.fetch_max(here, Ordering::Relaxed);
            sleep(Duration::from_millis(millis)).await;
            Ok(name)
        }
    }))
}

fn two(limits: Limits) -> (Pool<Service>, Arc<AtomicUsize>) {
    let most = Arc::new(AtomicUsize::new(0));
    let backends = ["a", "b"].map(|id| Backend::new(id, server(id, Arc::clone(&most))));
    let pool = Pool::from(backends);
    pool.set_rules(Rules::new().limits(limits));
    (pool, most)
}

#[tokio::test(start_paused = true)]
async fn no_backend_ever_has_more_than_its_limit_and_all_are_served() {
    let (pool, most) = two(Limits::new().max_in_flight(3));
    let balance = Balance::round_robin(pool.clone()).max_wait(Duration::from_secs(60));
    let requests = (0..100).map(|_| tokio::spawn(balance.clone().oneshot(10)));
    for request in requests.collect::<Vec<_>>() {
        request.await.unwrap().unwrap();
    }
    assert_eq!(most.load(Ordering::Relaxed), 3);
    for info in pool.list() {
        assert_eq!(info.in_flight(), 0, "{info}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_backend_is_passed_over() {
    let (pool, _) = two(Limits::new());
    pool.insert(Backend::new("a", server("a", Arc::default())).max_in_flight(1));
    let balance = Balance::round_robin(pool).max_wait(Duration::ZERO);
    let first = [1000, 1000].map(|millis| tokio::spawn(balance.clone().oneshot(millis)));
    sleep(Duration::from_millis(1)).await;
    for _ in 0..10 {
        assert_eq!(balance.clone().oneshot(1).await.unwrap(), "b");
    }
    drop(first);
}

#[tokio::test(start_paused = true)]
async fn who_waits_too_long_or_finds_the_queue_full_is_told_so() {
    let (pool, _) = two(Limits::new().max_in_flight(1).queue(1));
    let balance = Balance::round_robin(pool.clone()).max_wait(Duration::from_millis(500));
    let running = [1000, 1000].map(|millis| tokio::spawn(balance.clone().oneshot(millis)));
    sleep(Duration::from_millis(1)).await;
    let waiting = tokio::spawn(balance.clone().oneshot(1));
    sleep(Duration::from_millis(1)).await;
    let turned_away = balance.clone().oneshot(1).await.unwrap_err();
    assert!(matches!(turned_away, Error::Overloaded(_)), "{turned_away}");
    assert_eq!(turned_away.retry_after(), Some(Duration::from_secs(1)));
    let too_late = waiting.await.unwrap().unwrap_err();
    assert!(too_late.is_overloaded(), "{too_late}");
    for request in running {
        request.await.unwrap().unwrap();
    }
    assert!(pool.list().iter().all(|info| info.in_flight() == 0));
}

#[tokio::test(start_paused = true)]
async fn they_are_served_in_the_order_of_arrival_or_newest_first() {
    for newest_first in [false, true] {
        let mut limits = Limits::new().max_in_flight(1);
        if newest_first {
            limits = limits.newest_first();
        }
        let (pool, _) = two(limits);
        pool.remove("b");
        let balance = Balance::round_robin(pool).max_wait(Duration::from_secs(60));
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut tasks = Vec::new();
        for number in 0..20 {
            let (balance, order) = (balance.clone(), Arc::clone(&order));
            tasks.push(tokio::spawn(async move {
                balance.oneshot(10).await.unwrap();
                order.lock().unwrap().push(number);
            }));
            tokio::task::yield_now().await;
        }
        for task in tasks {
            task.await.unwrap();
        }
        let mut expected: Vec<_> = (0..20).collect();
        if newest_first {
            expected[1..].reverse();
        }
        assert_eq!(*order.lock().unwrap(), expected);
    }
}
