//! Those in line, on several threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use evenkeel::{Backend, Balance, Pool};
use tower::{ServiceExt, service_fn};

/// Who joins when the last one in flight has just gone, and two at once, has nobody to be called by
/// but itself. One that nobody calls waits out its time, which is longer than the test.
#[test]
fn no_one_in_line_is_forgotten_when_several_come_and_go_at_once() {
    const TASKS: u32 = 3;
    const ROUNDS: u32 = 300_000;

    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap();
    let service = service_fn(|_request: u32| async { Ok::<_, std::io::Error>(()) });
    let pool = Pool::from([Backend::new("a", service).max_in_flight(1)]);
    let balance = Balance::round_robin(pool.clone()).max_wait(Duration::from_secs(20));
    let forgotten = Arc::new(AtomicU32::new(0));
    runtime.block_on(async {
        let tasks = (0..TASKS).map(|_| {
            let (balance, forgotten) = (balance.clone(), Arc::clone(&forgotten));
            tokio::spawn(async move {
                for round in 0..ROUNDS {
                    if balance.clone().oneshot(round).await.is_err() {
                        forgotten.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                    if round % 100 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
    assert_eq!(forgotten.load(Ordering::Relaxed), 0);
    assert_eq!(pool.queued(), 0);
    assert_eq!(pool.get("a").unwrap().in_flight(), 0);
}
