use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::backend::AdaptiveLimit;
use evenkeel::set::{Limits, Rules, SlowStart};
use evenkeel::{Backend, Balance, Pool};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tower::{BoxError, Service, ServiceExt, service_fn};

use crate::setup::{Server, pool, settle, task};

fn ramping() -> (Pool<Server>, [Server; 1], Server) {
    let (pool, servers) = pool(Limits::new());
    let limits = Limits::new().max_in_flight(10).queue(100);
    let slow_start = SlowStart::new(Duration::from_secs(100)).unwrap();
    pool.set_rules(Rules::new().limits(limits).slow_start(slow_start));
    let new = Server::new("new");
    pool.insert(Backend::new("new", new.clone()));
    (pool, servers, new)
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_starts_slowly_takes_its_part_of_the_limit() {
    let (pool, [_old], new) = ramping();
    let mut balance = Balance::round_robin(pool.clone()).max_wait(Duration::from_secs(3600));
    for (seconds, expected) in [(1, 1), (29, 3), (30, 6), (41, 10)] {
        sleep(Duration::from_secs(seconds)).await;
        let mut running: Vec<_> = (0..40).map(|at| task(balance.call(at))).collect();
        for task in &mut running {
            assert!(task.poll().is_pending());
        }
        assert_eq!((new.now(), pool.queued()), (expected, 30 - expected));
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_get_the_room_that_a_slow_start_makes_though_nothing_ends() {
    let (pool, [old], new) = ramping();
    let balance = Balance::round_robin(pool.clone()).max_wait(Duration::from_secs(3600));
    let requests: Vec<_> = (0..20)
        .map(|at| tokio::spawn(balance.clone().oneshot(at)))
        .collect();
    settle().await;
    assert_eq!((old.now(), new.now(), pool.queued()), (10, 1, 9));
    sleep(Duration::from_secs(52)).await;
    assert_eq!((old.now(), new.now(), pool.queued()), (10, 5, 5));
    sleep(Duration::from_secs(50)).await;
    assert_eq!((old.now(), new.now(), pool.queued()), (10, 10, 0));
    drop(requests);
}

/// A server that works on 8 at once for 10 ms each; the others queue there, without an end.
fn slow(
    most: &Arc<AtomicUsize>,
) -> impl Service<u32, Response = (), Error = BoxError, Future: Send> + Clone + Send + Sync + 'static
{
    let (slots, inside) = (Arc::new(Semaphore::new(8)), Arc::new(AtomicUsize::new(0)));
    let most = Arc::clone(most);
    service_fn(move |_: u32| {
        let (slots, inside, most) = (Arc::clone(&slots), Arc::clone(&inside), Arc::clone(&most));
        async move {
            most.fetch_max(
                inside.fetch_add(1, Ordering::Relaxed) + 1,
                Ordering::Relaxed,
            );
            let slot = slots.acquire().await?;
            sleep(Duration::from_millis(10)).await;
            drop(slot);
            inside.fetch_sub(1, Ordering::Relaxed);
            Ok(())
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_adapts_keeps_a_server_busy_and_its_queue_short() {
    let most = Arc::default();
    let pool = Pool::from([Backend::new("a", slow(&most))]);
    let adaptive = AdaptiveLimit::gradient().initial(4).unwrap();
    pool.set_rules(Rules::new().limits(Limits::new().adaptive(adaptive).queue(1000)));
    let balance = Balance::round_robin(pool.clone()).max_wait(Duration::from_secs(3600));
    let began = Instant::now();
    let requests: Vec<_> = (0..200)
        .map(|_| {
            let balance = balance.clone();
            tokio::spawn(async move {
                for request in 0..50 {
                    balance.clone().oneshot(request).await.unwrap();
                }
            })
        })
        .collect();
    sleep(Duration::from_secs(2)).await;
    let limit = pool.list()[0].max_in_flight().unwrap();
    assert!((8..=40).contains(&limit), "{limit}");
    for request in requests {
        request.await.unwrap();
    }
    // 10,000 requests, 800 a second at best.
    let took = began.elapsed().as_secs_f64();
    assert!(took < 12.5 * 1.1, "{took} s");
    let most = most.load(Ordering::Relaxed);
    assert!(most <= 45, "{most} at once");
    assert_eq!((pool.list()[0].in_flight(), pool.queued()), (0, 0));
}
