//! When a retry is sent.

use std::time::Duration;

use evenkeel::backend::{Failure, Outcome};
use evenkeel::balance::{Attempt, Head};
use evenkeel::retry::{Budget, Hedge, Repeat, RetryLayer};
use evenkeel::{Backoff, Error};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, ServiceExt};

use crate::setup::{BROKEN, GATEWAY, LATE, Says, World, gateway, layer, millis, seed, tokens};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn wait(millis: u64) -> Says {
    Says::Head(
        GATEWAY,
        Head::failed(GATEWAY).retry_after(ms(millis)).anywhere(),
    )
}

/// The times between attempts at a request.
async fn pauses(backoff: Option<Backoff>, attempts: u32) -> Vec<u64> {
    let world = World::new([("a", (0, BROKEN)), ("b", (0, BROKEN))]);
    let mut layer = layer().attempts(attempts).unwrap();
    if let Some(backoff) = backoff {
        layer = layer.backoff(backoff);
    }
    let _ = layer.layer(world.ordered()).oneshot(1).await.unwrap_err();
    let log = world.log();
    log.windows(2).map(|two| two[1].at - two[0].at).collect()
}

#[tokio::test(start_paused = true)]
async fn the_first_retry_goes_out_at_once_and_those_after_it_wait_longer_and_longer() {
    fastrand::seed(seed());
    for _ in 0..200 {
        let pauses = pauses(None, 8).await;
        assert_eq!(pauses[0], 0);
        for (pause, full) in pauses[1..].iter().zip([25, 50, 100, 200, 250, 250]) {
            // Timers are as fine as a millisecond, and never early.
            assert!(
                (full / 2..=full + 1).contains(pause),
                "{pause} of {full} in {pauses:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_pauses_differ_from_request_to_request() {
    fastrand::seed(seed());
    let mut all = Vec::new();
    for _ in 0..50 {
        all.push(pauses(None, 6).await[4]);
    }
    all.sort_unstable();
    all.dedup();
    assert!(all.len() > 10, "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn the_backoff_can_be_set() {
    fastrand::seed(seed());
    let backoff = Backoff::new(ms(1000), ms(3000)).unwrap();
    let pauses = pauses(Some(backoff), 5).await;
    assert_eq!(pauses[0], 0);
    for (pause, full) in pauses[1..].iter().zip([1000, 2000, 3000]) {
        assert!((full / 2..=full + 1).contains(pause), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_as_long_as_the_backend_says() {
    let world = World::new([("a", (0, wait(700))), ("b", (0, Says::Well))]);
    let service = layer().layer(world.ordered());
    assert_eq!(service.oneshot(1).await.unwrap().from, "b");
    assert_eq!(world.log()[1].at, 700);

    // The longer one of the back-off's and the backend's counts.
    let world = World::new([
        ("a", (0, BROKEN)),
        ("b", (0, wait(3))),
        ("c", (0, Says::Well)),
    ]);
    let backoff = Backoff::new(ms(400), ms(400)).unwrap();
    let service = layer().backoff(backoff).layer(world.ordered());
    assert_eq!(service.oneshot(1).await.unwrap().from, "c");
    assert!(world.log()[2].at >= 200, "{:?}", world.log());
}

#[tokio::test(start_paused = true)]
async fn who_has_no_time_to_wait_gets_the_failure_at_once() {
    for (after, total, retried) in [
        (700, 701, true),
        (700, 700, false),
        (86_400_000, 1000, false),
    ] {
        let world = World::new([("a", (0, wait(after))), ("b", (0, Says::Well))]);
        let budget = tokens(1);
        let layer = layer().budget(budget.clone()).total_time(ms(total));
        let answer = layer.layer(world.ordered()).oneshot(1).await.unwrap();
        assert_eq!(answer.from == "b", retried, "{after} of {total}");
        assert_eq!(budget.available() < 1.0, retried, "no token for nothing");
        assert_eq!(world.now(), if retried { after } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_told_to_wait_for_more_than_ten_seconds_has_the_answer_at_once() {
    for (wait, retried) in [
        (ms(10_000), true),
        (ms(10_001), false),
        (Duration::MAX, false),
    ] {
        let told = Head::failed(GATEWAY).retry_after(wait).anywhere();
        let world = World::new([
            ("a", (0, Says::Head(GATEWAY, told))),
            ("b", (0, Says::Well)),
        ]);
        let answer = layer().layer(world.ordered()).oneshot(1).await.unwrap();
        assert_eq!(answer.from == "b", retried, "{wait:?}");
        assert_eq!(world.now(), if retried { 10_000 } else { 0 });
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_backend_says_of_itself_is_waited_for_where_there_is_no_other() {
    let says = Says::Head(GATEWAY, Head::failed(GATEWAY).retry_after(ms(700)));
    let world = World::new([("a", (0, says)), ("b", (0, says))]);
    let _answer = layer().layer(world.ordered()).oneshot(1).await.unwrap();
    let at: Vec<_> = world.log().iter().map(|asked| asked.at).collect();
    assert_eq!(at, [0, 0, 700]);
}

#[tokio::test(start_paused = true)]
async fn the_total_time_is_for_all_attempts_together() {
    let world = World::new([
        ("a", (300, gateway())),
        ("b", (300, BROKEN)),
        ("c", (900, BROKEN)),
    ]);
    let service = layer().attempts(9).unwrap().total_time(ms(1000));
    let error = service.layer(world.ordered()).oneshot(1).await.unwrap_err();
    assert!(error.is_deadline_exceeded(), "{error}");
    assert_eq!(world.now(), 1000);
    assert_eq!(world.asked(), ["a", "b", "c"]);
    assert_eq!(world.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_there_is_no_retry() {
    for (total, asked) in [(300, 1), (301, 2)] {
        let world = World::new([("a", (300, gateway())), ("b", (0, Says::Well))]);
        let service = layer().total_time(ms(total));
        let _ = service.layer(world.ordered()).oneshot(1).await;
        assert_eq!(world.asked().len(), asked, "{total} ms");
    }
}

#[derive(Clone, Copy)]
struct Carries(Instant);

impl Repeat<u64> for Carries {
    fn copy(&self, request: &u64) -> Option<u64> {
        Some(*request)
    }
    fn is_safe(&self, _request: &u64) -> bool {
        true
    }
    fn deadline(&self, _request: &u64) -> Option<std::time::Instant> {
        Some(self.0.into_std())
    }
}

#[tokio::test(start_paused = true)]
async fn the_sooner_of_all_deadlines_counts() {
    for (ours, carried, attempts) in [
        (500, 200, 900),
        (200, 500, 900),
        (900, 500, 200),
        (u64::MAX, 500, 200),
        (200, u64::MAX / 2, 500),
    ] {
        let world = World::new([("a", (0, Says::Never))]);
        let at = |millis| Instant::now() + ms(millis).min(ms(1_000_000_000));
        let layer = RetryLayer::new(Carries(at(carried))).total_time(ms(ours));
        let service = layer.layer(world.ordered()).attempts();
        let attempt = Attempt::new(1).deadline(at(attempts).into_std());
        let result = timeout(ms(10_000), service.oneshot(attempt)).await;
        let error = result.expect("there is a deadline").unwrap_err();
        assert!(error.is_deadline_exceeded(), "{error}");
        let sooner = ours.min(carried).min(attempts);
        assert_eq!(world.now(), sooner, "{ours} {carried} {attempts}");
    }
}

/// And also if nothing but the attempt itself has a deadline, for its retries.
#[tokio::test(start_paused = true)]
async fn the_times_of_an_attempt_are_those_of_its_retries() {
    let world = World::new([("a", (30, BROKEN)), ("b", (0, Says::Never))]);
    let service = layer().layer(world.ordered()).attempts();
    let deadline = (Instant::now() + ms(100)).into_std();
    let attempt = Attempt::new(1).deadline(deadline);
    let result = timeout(ms(10_000), service.oneshot(attempt)).await;
    let error = result.expect("there is a deadline").unwrap_err();
    assert!(error.is_deadline_exceeded(), "{error}");
    assert_eq!(world.now(), 100);

    let began = Instant::now();
    let world = World::new([("a", (0, Says::Never))]);
    let service = layer().attempts(2).unwrap().layer(world.ordered());
    let attempt = Attempt::new(1).timeout(ms(40));
    let error = service.attempts().oneshot(attempt).await.unwrap_err();
    assert_eq!(error.failure(), Some(Failure::Timeout));
    assert_eq!(millis(began.elapsed()), 80);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_hangs_has_failed_and_another_is_asked_in_time() {
    let world = World::new([("a", (0, Says::Never)), ("b", (10, Says::Well))]);
    let balance = world.ordered().attempt_timeout(ms(100));
    let answer = layer().layer(balance).oneshot(1).await.unwrap();
    assert_eq!((answer.from, world.now()), ("b", 110));
    let [attempt] = &*answer.before else {
        panic!("{:?}", answer.before)
    };
    assert_eq!(attempt.outcome(), Outcome::Failure(Failure::Timeout));
    assert_eq!(attempt.took(), Some(ms(100)));
}

#[tokio::test(start_paused = true)]
async fn who_pauses_has_taken_the_token_before() {
    let world = World::new([("a", (0, wait(1000)))]);
    let budget = tokens(2);
    let service = layer().budget(budget.clone()).layer(world.ordered());
    let asking: Vec<_> = (0..3)
        .map(|n| tokio::spawn(service.clone().oneshot(n)))
        .collect();
    sleep(ms(1)).await;
    assert!(budget.available() < 1.0, "{}", budget.available());
    let ended = asking.iter().filter(|asking| asking.is_finished()).count();
    assert_eq!(ended, 1, "there was no token for the third");
    // Who is dropped in the pause has had it.
    for asking in asking {
        asking.abort();
    }
    sleep(ms(1)).await;
    assert!(budget.available() < 1.0);
    assert_eq!(world.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_paid_in_once_a_request_and_taken_from_once_a_retry() {
    let budget = Budget::new()
        .share(0.5)
        .and_then(|budget| budget.per_second(0.0));
    let budget = budget.unwrap();
    let (one, two) = (
        World::new([("a", (0, BROKEN))]),
        World::new([("a", (0, BROKEN))]),
    );
    let layer = layer().budget(budget.clone());
    let services = [layer.layer(one.ordered()), layer.layer(two.ordered())];
    // Each second request has its retry, whichever service it is sent by.
    for request in 0..20 {
        let service = services[request / 2 % 2].clone();
        let attempts = 1 + request % 2;
        let error = service.oneshot(request as u64).await.unwrap_err();
        assert_eq!(error.attempts().len(), attempts, "{request}");
    }
    assert!(budget.available().abs() < f64::EPSILON);
    // Requests that go well, and those that cannot be retried, pay in as well.
    one.says("a", [(0, Says::Well)]);
    let unsafe_request = crate::setup::UNSAFE;
    let _ = services[0].clone().oneshot(1).await;
    let _ = services[0].clone().oneshot(unsafe_request).await;
    assert!((budget.available() - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_the_first_failure_comes_through_as_it_is() {
    let world = World::new([("a", (5, BROKEN)), ("b", (0, Says::Well))]);
    let service = layer().budget(tokens(0)).layer(world.ordered());
    let error = service.clone().oneshot(1).await.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error:?}");
    assert_eq!(error.to_string(), "backend a failed");
    assert_eq!(error.attempts().len(), 1);
    assert_eq!(error.attempts()[0].took(), Some(ms(5)));
    let source = std::error::Error::source(&error).unwrap();
    assert_eq!(source.to_string(), "a is ill");
    // And a response that says that it failed is the response.
    world.says("a", [(0, gateway())]);
    let answer = service.oneshot(1).await.unwrap();
    assert_eq!((answer.from, answer.before.len()), ("a", 0));
    assert_eq!(world.asked(), ["a", "a"]);
}

#[tokio::test(start_paused = true)]
async fn hedges_and_retries_have_one_budget() {
    let world = World::new([
        ("a", (50, LATE)),
        ("b", (60, BROKEN)),
        ("c", (0, Says::Well)),
    ]);
    let layer = layer().budget(tokens(1)).hedge(Hedge::after(ms(20)));
    let error = layer.layer(world.ordered()).oneshot(1).await.unwrap_err();
    // The hedge has had it, so there is no retry.
    assert_eq!(error.attempts().len(), 2, "{error}");
    assert_eq!(world.asked(), ["a", "b"]);
}
