//! `Balance`: readiness, waiting, cancellation, and the errors that say what happened.

mod common;

use std::convert::Infallible;
use std::future::{Future, pending};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use common::{Gate, echo, in_flight};
use evenkeel::backend::{Event, Failure, Handle, Observation, Outcome};
use evenkeel::balance::{Error, Reason};
use evenkeel::picker::{self, Algorithm, Ordered, RoundRobin};
use evenkeel::{Backend, BackendSet, Balance, Picker, Pool};
use tokio::time::Instant;
use tower::{Service, ServiceExt, service_fn};

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn balance_and_its_future_can_be_sent_and_shared() {
    fn check<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn check_future<T: Send + 'static>(_: &T) {}
    let balance = Balance::least_requests([Backend::new("a", echo("a"))]);
    check(&balance);
    check_future(&balance.clone().call(()));
}

#[tokio::test(start_paused = true)]
async fn an_empty_pool_fails_after_max_wait_and_says_so() {
    let balance =
        Balance::round_robin(Pool::<common::Echo>::new()).max_wait(Duration::from_secs(3));
    let start = Instant::now();
    let error = balance.oneshot(()).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert!(error.is_no_backend());
    assert_eq!(
        error.to_string(),
        "no backend to send the request to: the pool is empty"
    );
}

#[tokio::test(start_paused = true)]
async fn with_max_wait_zero_it_fails_at_once() {
    let start = Instant::now();
    let balance = Balance::round_robin(Pool::<common::Echo>::new()).max_wait(Duration::ZERO);
    assert!(balance.oneshot(()).await.unwrap_err().is_no_backend());
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[test]
fn without_a_runtime_it_fails_instead_of_waiting() {
    let balance = Balance::round_robin(Pool::<common::Echo>::new());
    let future = pin!(balance.oneshot(()));
    let Poll::Ready(Err(error)) = poll(future) else {
        panic!("it waits without a timer");
    };
    assert!(error.is_no_backend());
}

#[tokio::test(start_paused = true)]
async fn drained_and_weightless_backends_are_named_in_the_error() {
    let pool = Pool::from([
        Backend::new("a", echo("a")),
        Backend::new("b", echo("b")).weight(0),
    ]);
    pool.drain("a");
    let error = Balance::random(pool).oneshot(()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no backend to send the request to: none is eligible (a: draining, b: weight 0)",
    );
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_joins_wakes_a_waiting_request() {
    let balance = Balance::round_robin(Pool::new());
    let waiting = tokio::spawn(balance.clone().oneshot(()));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let start = Instant::now();
    balance.pool().insert(Backend::new("a", echo("a")));
    assert_eq!(waiting.await.unwrap().unwrap(), "a");
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_pending_backend_is_passed_over_at_once() {
    for algorithm in Algorithm::ALL {
        let pool = Pool::from([
            Backend::new("a", Gate::closed("a")),
            Backend::new("b", Gate::closed("b")),
            Backend::new("c", Gate::open("c")),
        ]);
        let balance = Balance::new(pool.clone(), algorithm.picker::<()>());
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(
                balance.clone().oneshot(()).await.unwrap(),
                "c",
                "{algorithm}"
            );
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(pool.list().iter().all(|backend| backend.in_flight() == 0));
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_are_pending_the_first_to_be_ready_is_called_without_another_request() {
    let gates = ["a", "b", "c"].map(Gate::closed);
    let pool: Pool<_> = gates
        .iter()
        .map(|gate| Backend::new(gate.name, gate.clone()))
        .collect();
    let waiting = tokio::spawn(Balance::least_requests(pool).oneshot(()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    gates[1].set_open(true);
    assert_eq!(waiting.await.unwrap().unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn when_none_becomes_ready_the_error_names_all_that_were_asked() {
    let pool = Pool::from([
        Backend::new("a", Gate::closed("a")),
        Backend::new("b", Gate::closed("b")),
    ]);
    let balance = Balance::new(pool, Ordered::new()).max_wait(Duration::from_millis(1500));
    let start = Instant::now();
    let error = balance.oneshot(()).await.unwrap_err();
    assert_eq!(start.elapsed(), Duration::from_millis(1500));
    assert_eq!(
        error.to_string(),
        "no backend took the request within 1.500 s: a is not ready, b is not ready",
    );
    assert_eq!(error.passed_over().len(), 2);
    assert!(matches!(error.passed_over()[0].reason(), Reason::NotReady));
    assert_eq!(error.failure(), None);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_cannot_be_ready_is_passed_over() {
    let pool = Pool::from([
        Backend::new("a", Gate::broken("a")),
        Backend::new("b", Gate::open("b")),
    ]);
    let balance = Balance::new(pool, Ordered::new());
    assert_eq!(balance.oneshot(()).await.unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn when_all_cannot_be_ready_it_fails_at_once_and_says_why() {
    let pool = Pool::from([
        Backend::new("a", Gate::broken("a")),
        Backend::new("b", Gate::broken("b")),
    ]);
    let start = Instant::now();
    let error = Balance::new(pool, Ordered::new())
        .oneshot(())
        .await
        .unwrap_err();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(
        error.to_string(),
        "no backend took the request: \
         a failed (connection refused), b failed (connection refused)",
    );
    assert_eq!(error.failure(), Some(Failure::Connect));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_waits_does_not_go_to_a_backend_that_left() {
    let gates = ["a", "b"].map(Gate::closed);
    let pool: Pool<_> = gates
        .iter()
        .map(|gate| Backend::new(gate.name, gate.clone()))
        .collect();
    let waiting = tokio::spawn(Balance::least_requests(pool.clone()).oneshot(()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    pool.remove("a");
    gates[0].set_open(true);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished());
    gates[1].set_open(true);
    assert_eq!(waiting.await.unwrap().unwrap(), "b");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_pending_backends_are_all_asked_before_it_waits() {
    let gates: Vec<Gate> = (0..1000).map(|_| Gate::closed("closed")).collect();
    let pool: Pool<_> = gates
        .iter()
        .enumerate()
        .map(|(i, gate)| Backend::new(i.to_string(), gate.clone()))
        .collect();
    let waiting = tokio::spawn(Balance::random(pool).oneshot(()));
    tokio::time::sleep(Duration::from_millis(1)).await;
    gates[777].set_open(true);
    assert!(waiting.await.unwrap().is_ok());
}

#[tokio::test]
async fn an_error_names_its_backend_and_keeps_the_cause() {
    let refuse = service_fn(|(): ()| async {
        Err::<(), _>(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))
    });
    let pool = Pool::from([Backend::new("a", refuse)]);
    let error = Balance::round_robin(pool.clone())
        .oneshot(())
        .await
        .unwrap_err();
    assert_eq!(error.backend(), Some("a"));
    assert_eq!(error.failure(), Some(Failure::Connect));
    assert!(std::error::Error::source(&error).is_some());
    assert_eq!(in_flight(&pool, "a"), 0);
}

#[tokio::test]
async fn a_picker_that_declines_or_exceeds_the_set_is_an_error() {
    let pool = Pool::from([Backend::new("a", echo("a"))]);
    let decline = |_: &dyn BackendSet, (): &(), _: &mut picker::Context| None;
    let error = Balance::new(pool.clone(), decline)
        .oneshot(())
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no backend to send the request to: the picker chose none of 1 eligible backends",
    );
    let exceed = |_: &dyn BackendSet, (): &(), _: &mut picker::Context| Some(7);
    let error = Balance::new(pool, exceed).oneshot(()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no backend to send the request to: the picker chose rank 7 of 1 eligible backends",
    );
}

#[tokio::test]
async fn a_request_counts_from_the_call_and_is_counted_back_wherever_it_is_dropped() {
    let hang = service_fn(|(): ()| pending::<Result<(), Infallible>>());
    let pool = Pool::from([Backend::new("a", hang)]);
    let mut balance = Balance::least_response_time(pool.clone());

    let never_polled = balance.call(());
    assert_eq!(in_flight(&pool, "a"), 1);
    let mut polled = Box::pin(balance.call(()));
    assert!(poll(polled.as_mut()).is_pending());
    assert_eq!(in_flight(&pool, "a"), 2);

    drop(never_polled);
    drop(polled);
    assert_eq!(in_flight(&pool, "a"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_while_it_waits_leaves_no_count() {
    let pool = Pool::from([Backend::new("a", Gate::closed("a"))]);
    let mut balance = Balance::least_requests(pool.clone());
    let mut waiting = Box::pin(balance.call(()));
    assert!(poll(waiting.as_mut()).is_pending());
    assert_eq!(in_flight(&pool, "a"), 0);
    drop(waiting);
    assert_eq!(in_flight(&pool, "a"), 0);
}

#[tokio::test]
async fn a_killed_task_counts_back() {
    let hang = service_fn(|(): ()| pending::<Result<(), Infallible>>());
    let pool = Pool::from([Backend::new("a", hang)]);
    let task = tokio::spawn(Balance::exact_least_requests(pool.clone()).oneshot(()));
    tokio::task::yield_now().await;
    assert_eq!(in_flight(&pool, "a"), 1);
    task.abort();
    let _ = task.await;
    assert_eq!(in_flight(&pool, "a"), 0);
}

#[tokio::test]
async fn the_picker_can_be_swapped_while_serving() {
    let (a, b) = (echo("a"), echo("b"));
    let pool = Pool::from([Backend::new("a", a.clone()), Backend::new("b", b.clone())]);
    let balance = Balance::new(pool, RoundRobin::starting_at(0));
    let clone = balance.clone();
    for _ in 0..10 {
        clone.clone().oneshot(()).await.unwrap();
    }
    assert_eq!((a.calls(), b.calls()), (5, 5));
    balance.set_picker(Ordered::new());
    for _ in 0..10 {
        clone.clone().oneshot(()).await.unwrap();
    }
    assert_eq!((a.calls(), b.calls()), (15, 5));
}

#[tokio::test]
async fn a_seed_makes_picks_repeatable() {
    let run = |seed| async move {
        let pool: Pool<_> = ["a", "b", "c", "d"]
            .map(|name| Backend::new(name, echo(name)))
            .into();
        let balance = Balance::random(pool).seed(seed);
        let mut picks = String::new();
        for _ in 0..50 {
            picks += balance.clone().oneshot(()).await.unwrap();
        }
        picks
    };
    assert_eq!(run(1).await, run(1).await);
    assert_ne!(run(1).await, run(2).await);
}

/// Takes the first, and writes down what it observes.
#[derive(Clone, Default)]
struct Observer {
    heads: Arc<AtomicUsize>,
    ends: Arc<Mutex<Vec<(usize, Duration, Outcome)>>>,
}

impl<Req> Picker<Req> for Observer {
    fn pick(&self, set: &dyn BackendSet, _: &Req, _: &mut picker::Context) -> Option<usize> {
        (!set.is_empty()).then_some(0)
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        match observation.event() {
            Event::Head { .. } => {
                self.heads.fetch_add(1, Ordering::Relaxed);
            }
            Event::Ended {
                duration, outcome, ..
            } => {
                self.ends
                    .lock()
                    .unwrap()
                    .push((backend.slot(), duration, outcome));
            }
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_picker_observes_success_failure_and_cancellation_with_their_durations() {
    let service = service_fn(|request: u64| async move {
        tokio::time::sleep(Duration::from_millis(request)).await;
        if request == 20 { Err("failed") } else { Ok(()) }
    });
    let observer = Observer::default();
    let balance = Balance::new([Backend::new("a", service)], observer.clone());
    balance.clone().oneshot(10).await.unwrap();
    balance.clone().oneshot(20).await.unwrap_err();
    let cut = tokio::time::timeout(Duration::from_millis(5), balance.clone().oneshot(30)).await;
    assert!(cut.is_err());
    assert_eq!(observer.heads.load(Ordering::Relaxed), 1);
    let expected = [
        (0, Duration::from_millis(10), Outcome::Success),
        (
            0,
            Duration::from_millis(20),
            Outcome::Failure(Failure::Other),
        ),
        (0, Duration::from_millis(5), Outcome::Cancelled),
    ];
    assert_eq!(*observer.ends.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_fails_fast_does_not_look_fast() {
    let slow = service_fn(|(): ()| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok(())
    });
    let fast_failure = service_fn(|(): ()| async { Err("broken") });
    let slow = tower::util::BoxCloneSyncService::new(slow);
    let fast_failure = tower::util::BoxCloneSyncService::new(fast_failure);
    let mut backends = vec![Backend::new("broken", fast_failure)];
    backends.extend((0..9).map(|i| Backend::new(i.to_string(), slow.clone())));
    let balance = Balance::<_, ()>::least_response_time(backends).seed(1);
    let mut failures = 0;
    for _ in 0..500 {
        failures += usize::from(balance.clone().oneshot(()).await.is_err());
    }
    // A fair tenth would be 50.
    assert!(
        failures <= 5,
        "{failures} of 500 went to the backend that fails fast"
    );
    let latency = balance.pool().get("broken").unwrap().latency().unwrap();
    assert!(latency > Duration::from_millis(300), "{latency:?}");
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_looks_slower_while_it_hangs() {
    let hang = service_fn(|(): ()| pending::<Result<(), Infallible>>());
    let quick = service_fn(|(): ()| async { Ok::<_, Infallible>(()) });
    let pool = Pool::new();
    pool.insert(Backend::new(
        "a",
        tower::util::BoxCloneSyncService::new(quick),
    ));
    let balance = Balance::<_, ()>::least_response_time(pool.clone());
    balance.clone().oneshot(()).await.unwrap();
    pool.insert(Backend::new(
        "a",
        tower::util::BoxCloneSyncService::new(hang),
    ));
    let mut call = balance.clone();
    let _hanging = call.call(());
    for seconds in 1..5 {
        tokio::time::advance(Duration::from_secs(1)).await;
        let latency = pool.get("a").unwrap().latency().unwrap();
        assert!(
            latency.abs_diff(Duration::from_secs(seconds)) < Duration::from_millis(10),
            "{latency:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn errors_are_of_the_kind_that_matches_says() {
    let balance = Balance::round_robin(Pool::<common::Echo>::new()).max_wait(Duration::ZERO);
    assert!(matches!(
        balance.oneshot(()).await,
        Err(Error::NoBackend(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_replaced_takes_the_requests_that_waited_for_the_old_one() {
    let (old, new) = (Gate::closed("old"), Gate::closed("new"));
    let pool = Pool::from([Backend::new("a", old.clone())]);
    let waiting = tokio::spawn(Balance::least_requests(pool.clone()).oneshot(()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    pool.insert(Backend::new("a", new.clone()));
    old.set_open(true);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!waiting.is_finished(), "the old service was called");
    new.set_open(true);
    assert_eq!(waiting.await.unwrap().unwrap(), "new");
}

/// Takes them in turn, and writes down what it was asked and told.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Picker<()> for Diary {
    fn pick(&self, set: &dyn BackendSet, (): &(), cx: &mut picker::Context) -> Option<usize> {
        let line = format!("attempt {} of {}", cx.attempt(), set.len());
        self.0.lock().unwrap().push(line);
        Some(0)
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        if let Event::Ended { outcome, .. } = observation.event() {
            let line = format!("{} ended: {outcome:?}", backend.slot());
            self.0.lock().unwrap().push(line);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_pick_counts_and_its_failure_is_told() {
    let diary = Diary::default();
    let pool = Pool::from([
        Backend::new("a", Gate::broken("a")),
        Backend::new("b", Gate::open("b")),
    ]);
    let balance = Balance::new(pool, diary.clone());
    assert_eq!(balance.oneshot(()).await.unwrap(), "b");
    let expected = [
        "attempt 0 of 2",
        "0 ended: Failure(Connect)",
        "attempt 1 of 1",
        "1 ended: Success",
    ];
    assert_eq!(*diary.0.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn the_error_says_how_long_it_waited_and_not_how_long_it_might_have() {
    let gate = Gate::closed("a");
    let balance = Balance::round_robin([Backend::new("a", gate.clone())]);
    let waiting = tokio::spawn(balance.max_wait(Duration::from_secs(9)).oneshot(()));
    tokio::time::sleep(Duration::from_secs(2)).await;
    gate.break_down();
    let error = waiting.await.unwrap().unwrap_err();
    assert_eq!(
        error.to_string(),
        "no backend took the request within 2.000 s: a failed (connection refused)",
    );
}

/// Panics when a request ends, or when it begins.
struct Hysteric {
    at_the_end: bool,
}

impl Picker<()> for Hysteric {
    fn pick(&self, _: &dyn BackendSet, (): &(), _: &mut picker::Context) -> Option<usize> {
        Some(0)
    }

    fn observe(&self, _: Handle, observation: &Observation) {
        let end = matches!(observation.event(), Event::Ended { .. });
        assert!(end != self.at_the_end, "it observed something");
    }
}

#[test]
fn a_picker_that_panics_while_it_observes_leaves_no_count_behind() {
    for at_the_end in [false, true] {
        let pool = Pool::from([Backend::new("a", ())]);
        let selector = picker::Selector::new(pool.clone(), Hysteric { at_the_end });
        let request = AssertUnwindSafe(|| {
            let ((), completion) = selector.select(&()).expect("one is eligible");
            completion.finish(Outcome::Success);
        });
        assert!(catch_unwind(request).is_err());
        assert_eq!(in_flight(&pool, "a"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn latency_is_measured_on_the_paused_clock() {
    // Real time goes by, and the paused clock falls behind it.
    let busy = std::time::Instant::now();
    while busy.elapsed() < Duration::from_millis(100) {
        std::hint::spin_loop();
    }
    let service = service_fn(|(): ()| async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok::<_, Infallible>(())
    });
    let pool = Pool::from([Backend::new("a", service)]);
    Balance::least_response_time(pool.clone())
        .oneshot(())
        .await
        .unwrap();
    let latency = pool.get("a").unwrap().latency().unwrap();
    assert!(
        latency.abs_diff(Duration::from_millis(50)) < Duration::from_millis(1),
        "{latency:?}"
    );
}
