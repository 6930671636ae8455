//! What a request that goes well costs.

use std::future::ready;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use evenkeel::retry::Hedge;
use evenkeel::{Backend, Balance};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::setup::layer;

fn balance() -> Balance<impl Service<u64, Response = (), Error = std::io::Error> + Clone, u64> {
    let service = service_fn(|_request: u64| ready(Ok::<_, std::io::Error>(())));
    Balance::round_robin(["a", "b"].map(|name| Backend::new(name, service)))
}

#[test]
fn a_request_that_goes_well_allocates_nothing() {
    let second = Duration::from_secs(1);
    let hedge = Hedge::after(second);
    let balance = balance().attempt_timeout(second);
    let mut service = layer().hedge(hedge).total_time(second).layer(balance);
    let mut cx = Context::from_waker(Waker::noop());
    let mut ask = || pin!(service.call(1)).poll(&mut cx).is_ready();
    assert!(ask(), "the first may set things up");
    let memory = allocation_counter::measure(|| assert!((0..100).all(|_| ask())));
    assert_eq!(memory.count_total, 0, "{memory:?}");
}

/// A timer panics on a runtime without time.
#[test]
fn a_request_that_is_answered_at_once_arms_no_timer() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let second = Duration::from_secs(1);
        let balance = balance().attempt_timeout(second);
        let layer = layer().hedge(Hedge::after(second)).total_time(second);
        layer.layer(balance).oneshot(1).await.unwrap();
    });
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Nothing turns while it waits.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_pending_wakes_nobody_before_something_happens() {
    let service = service_fn(|_request: u64| std::future::pending::<std::io::Result<()>>());
    let backends = ["a", "b"].map(|name| Backend::new(name, service));
    let balance = Balance::round_robin(backends).attempt_timeout(Duration::from_secs(1));
    let layer = layer().hedge(Hedge::after(Duration::from_millis(100)));
    let mut service = layer.attempts(2).unwrap().layer(balance);
    let counted = Arc::new(Wakes::default());
    let waker = Waker::from(Arc::clone(&counted));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(service.call(1));
    // The hedge's delay, and the two time-outs.
    for (after, woken) in [(99, 0), (2, 1), (898, 1), (2, 2), (98, 2), (2, 3)] {
        let polled = future.as_mut().poll(&mut cx);
        assert!(polled.is_pending());
        tokio::time::sleep(Duration::from_millis(after)).await;
        assert_eq!(counted.0.load(Ordering::Relaxed), woken, "after {after} ms");
    }
    assert!(matches!(future.poll(&mut cx), Poll::Ready(Err(_))));
}
