//! The time that one backend has, and that of the whole request.

use std::future::{pending, ready};
use std::time::Duration;

use evenkeel::backend::{BackendInfo, Failure, Outcome, State};
use evenkeel::balance::Attempt;
use evenkeel::health::{Ejection, Health};
use evenkeel::picker::Ordered;
use evenkeel::retry::RetryLayer;
use evenkeel::set::{Limits, Rules};
use evenkeel::{Backend, Balance, Error, Pool};
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

type Service = BoxCloneSyncService<u64, &'static str, std::io::Error>;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn hangs() -> Service {
    BoxCloneSyncService::new(service_fn(|_request: u64| pending()))
}

fn after(name: &'static str, millis: u64) -> Service {
    BoxCloneSyncService::new(service_fn(move |_request: u64| async move {
        sleep(ms(millis)).await;
        Ok(name)
    }))
}

fn in_flight(pool: &Pool<Service>) -> usize {
    pool.list().iter().map(BackendInfo::in_flight).sum()
}

#[tokio::test(start_paused = true)]
async fn a_backend_has_its_time_and_is_blamed_at_its_end() {
    let began = Instant::now();
    let pool = Pool::from([Backend::new("a", hangs())]);
    let balance = Balance::round_robin(pool.clone()).attempt_timeout(ms(200));
    let error = balance.oneshot(1).await.unwrap_err();
    assert_eq!(began.elapsed(), ms(200));
    assert_eq!(error.failure(), Some(Failure::Timeout));
    assert_eq!(error.backend(), Some("a"));
    assert_eq!(
        error.attempts()[0].outcome(),
        Outcome::Failure(Failure::Timeout)
    );
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "no response within 0.200 s");
    assert_eq!(in_flight(&pool), 0);
}

#[tokio::test(start_paused = true)]
async fn who_answers_in_time_is_not_cut_off() {
    for (millis, ok) in [(199, true), (201, false)] {
        let pool = Pool::from([Backend::new("a", after("a", millis))]);
        let balance = Balance::round_robin(pool).attempt_timeout(ms(200));
        assert_eq!(balance.oneshot(1).await.is_ok(), ok, "{millis} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn backends_that_run_out_of_time_are_ejected_and_those_that_the_deadline_cuts_are_not() {
    for (blamed, expected) in [(true, State::Ejected), (false, State::Healthy)] {
        let pool = Pool::from([
            Backend::new("a", hangs()),
            Backend::new("b", after("b", 1)),
            Backend::new("c", after("c", 1)),
        ]);
        let _watching = Health::new().ejection(Ejection::new()).spawn(&pool);
        let balance = Balance::new(pool.clone(), Ordered::new());
        let attempts = if blamed {
            balance.attempt_timeout(ms(50))
        } else {
            balance
        }
        .attempts();
        for request in 0..5 {
            let deadline = Instant::now() + ms(if blamed { 1000 } else { 50 });
            let attempt = Attempt::new(request).deadline(deadline.into_std());
            let error = attempts.clone().oneshot(attempt).await.unwrap_err();
            assert_eq!(error.is_deadline_exceeded(), !blamed, "{error}");
        }
        sleep(ms(20)).await;
        assert_eq!(pool.get("a").unwrap().state(), expected);
        assert_eq!(in_flight(&pool), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_sooner_of_the_balances_time_out_and_the_attempts_counts() {
    for (ours, its, expected) in [(100, 200, 100), (200, 100, 100)] {
        let began = Instant::now();
        let pool = Pool::from([Backend::new("a", hangs())]);
        let balance = Balance::round_robin(pool).attempt_timeout(ms(ours));
        let attempt = Attempt::new(1).timeout(ms(its));
        let error = balance.attempts().oneshot(attempt).await.unwrap_err();
        assert_eq!(error.failure(), Some(Failure::Timeout));
        assert_eq!(began.elapsed(), ms(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_for_a_backend_begins_when_it_has_the_request() {
    let began = Instant::now();
    let pool = Pool::new();
    let balance = Balance::round_robin(pool.clone()).attempt_timeout(ms(100));
    let asking = tokio::spawn(balance.oneshot(1));
    sleep(ms(500)).await;
    pool.insert(Backend::new("a", hangs()));
    let error = asking.await.unwrap().unwrap_err();
    assert_eq!(error.failure(), Some(Failure::Timeout));
    assert_eq!(began.elapsed(), ms(600));
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_a_backend_ends_with_the_deadline() {
    let deadline = || (Instant::now() + ms(100)).into_std();
    let waits = async |balance: Balance<Service, u64>| {
        let balance = balance.max_wait(ms(800));
        let (began, attempts) = (Instant::now(), balance.clone().attempts());
        let attempt = Attempt::new(1).deadline(deadline());
        let error = attempts.oneshot(attempt).await.unwrap_err();
        assert!(error.is_deadline_exceeded(), "{error}");
        assert_eq!(began.elapsed(), ms(100));

        let layer = RetryLayer::new(|_request: &u64| true).total_time(ms(100));
        let retry = layer.layer(balance.clone());
        let error = retry.oneshot(1).await.unwrap_err();
        assert!(error.is_deadline_exceeded(), "{error}");
        assert_eq!(began.elapsed(), ms(200));

        // Who has more time than there is to wait is told what it has waited for.
        let layer = RetryLayer::new(|_request: &u64| true).total_time(ms(801));
        let error = layer.layer(balance).oneshot(1).await.unwrap_err();
        assert_eq!(began.elapsed(), ms(1000));
        error
    };
    let nobody = waits(Balance::round_robin(Pool::new())).await;
    assert!(nobody.is_no_backend(), "{nobody}");

    let pool = Pool::from([Backend::new("a", hangs())]);
    pool.set_rules(Rules::new().limits(Limits::new().max_in_flight(1).queue(1)));
    let balance = Balance::round_robin(pool);
    let _busy = tokio::spawn(balance.clone().oneshot(1));
    sleep(ms(1)).await;
    let full = waits(balance).await;
    assert!(full.is_overloaded(), "{full}");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_that_is_over_ends_an_attempt_that_is_not_answered_at_once() {
    let began = Instant::now();
    let now = began.into_std();
    for deadline in [now, now.checked_sub(ms(1)).unwrap_or(now)] {
        let pool = Pool::from([Backend::new("a", hangs())]);
        let attempts = Balance::round_robin(pool.clone()).attempts();
        let attempt = Attempt::new(1).deadline(deadline);
        let error = attempts.oneshot(attempt).await.unwrap_err();
        assert!(error.is_deadline_exceeded(), "{error}");
        assert_eq!(in_flight(&pool), 0);
    }
    // The clock goes in milliseconds.
    assert!(began.elapsed() <= ms(2));
}

/// Not even one that would be answered at once.
#[tokio::test(start_paused = true)]
async fn what_comes_after_its_deadline_is_not_sent() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let service = service_fn(move |_request: u64| {
        count.fetch_add(1, Ordering::Relaxed);
        ready(Ok::<_, std::io::Error>("a"))
    });
    let pool = Pool::from([Backend::new("a", BoxCloneSyncService::new(service))]);
    let balance = Balance::round_robin(pool.clone());
    let retry = RetryLayer::new(|_request: &u64| true).layer(balance.clone());
    sleep(ms(10_000)).await;
    let now = Instant::now().into_std();
    for late in [now, now.checked_sub(ms(5000)).unwrap()] {
        let attempt = || Attempt::new(1).deadline(late);
        let error = balance.clone().attempts().oneshot(attempt()).await;
        let again = retry.clone().attempts().oneshot(attempt()).await;
        for error in [error, again] {
            let error = error.unwrap_err();
            assert!(error.is_deadline_exceeded(), "{error}");
            assert!(error.attempts().is_empty(), "{error}");
        }
    }
    assert_eq!(asked.load(Ordering::Relaxed), 0);
    assert_eq!(pool.get("a").unwrap().counts().total(), 0);
    assert_eq!(in_flight(&pool), 0);
}

#[tokio::test(start_paused = true)]
async fn times_beyond_all_bounds_are_for_ever() {
    let pool = Pool::from([Backend::new("a", after("a", 86_400_000))]);
    let balance = Balance::round_robin(pool).attempt_timeout(Duration::MAX);
    let layer = RetryLayer::new(|_request: &u64| true).total_time(Duration::MAX);
    let attempt = Attempt::new(1).timeout(Duration::MAX);
    let service = layer.layer(balance).attempts();
    assert_eq!(service.oneshot(attempt).await.unwrap(), "a");
}

/// A timer panics on a runtime without time.
#[test]
fn a_response_at_the_first_poll_arms_no_timer() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let answers = service_fn(|_request: u64| ready(Ok::<_, std::io::Error>("a")));
    let pool = Pool::from([Backend::new("a", BoxCloneSyncService::new(answers))]);
    let attempts = Balance::round_robin(pool).attempt_timeout(ms(1)).attempts();
    runtime.block_on(async {
        let deadline = (Instant::now() + ms(1)).into_std();
        let attempt = Attempt::new(1).deadline(deadline).timeout(ms(1));
        assert_eq!(attempts.oneshot(attempt).await.unwrap(), "a");
    });
}

#[tokio::test(start_paused = true)]
async fn one_that_runs_out_of_time_is_dropped_before_it_is_counted_back() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, OnceLock};

    struct Looks(Arc<OnceLock<Pool<Service>>>, Arc<AtomicUsize>);
    impl Drop for Looks {
        fn drop(&mut self) {
            let pool = self.0.get().expect("it is set");
            self.1.store(in_flight(pool), Ordering::Relaxed);
        }
    }
    let (known, seen) = (Arc::<OnceLock<_>>::default(), Arc::<AtomicUsize>::default());
    let (pool, counted) = (Arc::clone(&known), Arc::clone(&seen));
    let service = service_fn(move |_request: u64| {
        let looks = Looks(Arc::clone(&pool), Arc::clone(&counted));
        async move {
            pending::<()>().await;
            drop(looks);
            Ok::<_, std::io::Error>("a")
        }
    });
    let pool = Pool::from([Backend::new("a", BoxCloneSyncService::new(service))]);
    assert!(known.set(pool.clone()).is_ok());
    let error = Balance::round_robin(pool.clone())
        .attempt_timeout(ms(5))
        .oneshot(1)
        .await;
    assert!(matches!(error, Err(Error::Backend { .. })));
    assert_eq!(seen.load(Ordering::Relaxed), 1);
    assert_eq!(in_flight(&pool), 0);
}
