//! The layer, around any service.

use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::deadline::{Carry, Deadline, DeadlineExceeded, DeadlineLayer};
use evenkeel::{Backend, Balance, Pool};
use tokio::time::{Instant, sleep};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A request that carries its deadline.
type Job = Option<std::time::Instant>;

#[derive(Clone)]
struct InJob;

impl Carry<Job> for InJob {
    fn deadline(&self, job: &Job) -> Option<std::time::Instant> {
        *job
    }
    fn pass_on(&self, job: &mut Job, deadline: std::time::Instant) {
        *job = Some(deadline);
    }
}

/// How much time the service inside is told that there is, and how long the request took.
async fn run<C>(layer: DeadlineLayer<C>, carried: Option<u64>) -> (Option<Duration>, Duration)
where
    C: Carry<Job> + Clone,
{
    let began = Instant::now();
    let told = Arc::<std::sync::Mutex<Option<Duration>>>::default();
    let tell = Arc::clone(&told);
    let inner = service_fn(move |job: Job| {
        *tell.lock().unwrap() = job.map(|at| Instant::from_std(at) - began);
        pending::<Result<(), BoxError>>()
    });
    let job = carried.map(|millis| (began + ms(millis)).into_std());
    let result = tokio::time::timeout(ms(5000), layer.layer(inner).oneshot(job)).await;
    if let Ok(result) = result {
        assert!(result.unwrap_err().is::<DeadlineExceeded>());
    }
    let told = *told.lock().unwrap();
    (told, began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn the_sooner_of_both_counts_and_is_passed_on() {
    let both = |millis| DeadlineLayer::new(ms(millis)).carried(InJob);
    assert_eq!(run(both(300), Some(200)).await, (Some(ms(200)), ms(200)));
    assert_eq!(run(both(200), Some(300)).await, (Some(ms(200)), ms(200)));
    assert_eq!(run(both(200), None).await, (Some(ms(200)), ms(200)));
    let inherited = || DeadlineLayer::inherited(InJob);
    assert_eq!(run(inherited(), Some(300)).await, (Some(ms(300)), ms(300)));
    assert_eq!(run(inherited(), None).await, (None, ms(5000)));
    let own = DeadlineLayer::new(ms(200));
    assert_eq!(run(own, Some(100)).await, (Some(ms(100)), ms(200)));
    let for_ever = DeadlineLayer::new(Duration::MAX);
    assert_eq!(run(for_ever, None).await, (None, ms(5000)));
}

#[tokio::test(start_paused = true)]
async fn who_comes_too_late_is_not_sent() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let inner = service_fn(move |_job: Job| {
        count.fetch_add(1, Ordering::Relaxed);
        ready(Ok::<_, BoxError>(()))
    });
    let service = DeadlineLayer::inherited(InJob).layer(inner);
    let now = Instant::now().into_std();
    for late in [now, now.checked_sub(ms(10)).unwrap_or(now)] {
        let error = service.clone().oneshot(Some(late)).await.unwrap_err();
        assert!(error.is::<DeadlineExceeded>());
    }
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    service.oneshot(Some(now + ms(1))).await.unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn at_its_end_all_is_counted_back_and_nobody_blamed() {
    let hangs = service_fn(|_request: ()| pending::<Result<(), std::io::Error>>());
    let pool = Pool::from([Backend::new("a", hangs)]);
    let balance = Balance::round_robin(pool.clone());
    let mut service = DeadlineLayer::new(ms(100)).layer(balance);
    let mut future = std::pin::pin!(service.call(()));
    let error = future.as_mut().await.unwrap_err();
    assert!(error.is_deadline_exceeded(), "{error}");
    assert_eq!(error.to_string(), "the request's deadline has passed");
    // Also while its future is still there.
    assert_eq!(pool.get("a").unwrap().in_flight(), 0);
    assert!(error.attempts().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_response_or_an_error_in_time_is_passed_on() {
    for (millis, in_time) in [(99, true), (101, false)] {
        let inner = service_fn(move |fails: bool| async move {
            sleep(ms(millis)).await;
            if fails {
                Err(BoxError::from("out of paper"))
            } else {
                Ok("an answer")
            }
        });
        let service = DeadlineLayer::new(ms(100)).layer(inner);
        let well = service.oneshot(false).await;
        assert_eq!(well.is_ok(), in_time, "{millis} ms");
        let error = service.oneshot(true).await.unwrap_err();
        assert_eq!(error.is::<DeadlineExceeded>(), !in_time);
    }
}

/// A timer panics on a runtime without time.
#[test]
fn a_response_at_the_first_poll_arms_no_timer() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let inner = service_fn(|_request: ()| ready(Ok::<_, BoxError>(())));
    let mut service = DeadlineLayer::new(ms(1)).layer(inner);
    runtime.block_on(service.call(())).unwrap();
    // And it costs nothing.
    let memory = allocation_counter::measure(|| {
        let future = std::pin::pin!(service.call(()));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::future::Future::poll(future, &mut cx).is_ready());
    });
    assert_eq!(memory.count_total, 0, "{memory:?}");
}

#[test]
fn without_a_runtime_there_is_no_deadline_and_no_panic() {
    let inner = service_fn(|_request: ()| pending::<Result<(), BoxError>>());
    let mut future = std::pin::pin!(DeadlineLayer::new(ms(1)).layer(inner).oneshot(()));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(std::future::Future::poll(future.as_mut(), &mut cx).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_deadline_tells_how_much_time_is_left() {
    let deadline = Deadline::after(ms(100));
    assert_eq!(deadline.left(), ms(100));
    sleep(ms(40)).await;
    assert_eq!(deadline.left(), ms(60));
    sleep(ms(100)).await;
    assert_eq!(deadline.left(), ms(0));
    assert_eq!(Deadline::at(deadline.instant()), deadline);
    assert!(Deadline::after(Duration::MAX) > deadline);
}
