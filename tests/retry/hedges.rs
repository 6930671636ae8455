//! A second attempt beside one that takes long.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use evenkeel::backend::{Completion, Failure, Outcome};
use evenkeel::balance::{Attempt, Awaited, Head};
use evenkeel::picker::Ordered;
use evenkeel::retry::{Hedge, Repeat, RetryLayer};
use evenkeel::set::{Limits, Rules};
use evenkeel::{Backend, Balance, Error, Pool};
use tokio::time::{Instant, sleep, timeout};
use tower::{Layer, ServiceExt, service_fn};

use crate::setup::{
    BROKEN, GATEWAY, Observer, REFUSED, Says, Step, UNSAFE, World, gateway, layer, tokens, told,
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn hedging() -> RetryLayer<fn(&u64) -> bool> {
    layer().hedge(Hedge::after(ms(50)))
}

/// When who was asked, and when who has answered.
async fn run(a: Step, b: Step) -> (Vec<(&'static str, u64)>, Option<&'static str>, u64) {
    let world = World::new([("a", a), ("b", b)]);
    let layer = hedging().attempts(2).unwrap();
    let result = layer.layer(world.ordered()).oneshot(1).await;
    let asked = world
        .log()
        .iter()
        .map(|asked| (asked.name, asked.at))
        .collect();
    assert_eq!(world.in_flight(), 0);
    (asked, result.ok().map(|answer| answer.from), world.now())
}

#[tokio::test(start_paused = true)]
async fn who_answers_in_time_is_not_hedged() {
    for after in [0, 1, 49] {
        let (asked, from, now) = run((after, Says::Well), (0, Says::Well)).await;
        assert_eq!((asked, from, now), (vec![("a", 0)], Some("a"), after));
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_good_answer_wins() {
    let both = vec![("a", 0), ("b", 50)];
    let hedge = run((100, Says::Well), (10, Says::Well)).await;
    assert_eq!(hedge, (both.clone(), Some("b"), 60));
    let first = run((100, Says::Well), (90, Says::Well)).await;
    assert_eq!(first, (both, Some("a"), 100));
}

#[tokio::test(start_paused = true)]
async fn a_failure_never_wins_while_the_other_attempt_is_pending() {
    let both = vec![("a", 0), ("b", 50)];
    for bad in [BROKEN, REFUSED, gateway()] {
        let hedge_fails = run((100, Says::Well), (10, bad)).await;
        assert_eq!(hedge_fails, (both.clone(), Some("a"), 100));
        let first_fails = run((60, bad), (50, Says::Well)).await;
        assert_eq!(first_fails, (both.clone(), Some("b"), 100));
    }
    let all_fail = run((60, BROKEN), (30, BROKEN)).await;
    assert_eq!(all_fail, (both, None, 80));
}

#[tokio::test(start_paused = true)]
async fn when_both_have_failed_a_third_attempt_goes_elsewhere() {
    for (first, second) in [(60, 60), (110, 20)] {
        let world = World::new([
            ("a", (first, BROKEN)),
            ("b", (second, BROKEN)),
            ("c", (0, Says::Well)),
        ]);
        let answer = hedging().layer(world.ordered()).oneshot(1).await.unwrap();
        assert_eq!(answer.from, "c");
        assert_eq!(answer.before.len(), 2);
        assert_eq!(world.asked(), ["a", "b", "c"]);
    }
}

/// Whichever of two attempts it was that was told so.
#[tokio::test(start_paused = true)]
async fn what_is_said_of_another_attempt_goes_for_both() {
    let never = Says::Head(GATEWAY, Head::failed(GATEWAY).no_retry());
    let later = Says::Head(
        GATEWAY,
        Head::failed(GATEWAY).retry_after(ms(700)).anywhere(),
    );
    for (first, second) in [(60, 60), (110, 20)] {
        let world = World::new([
            ("a", (first, never)),
            ("b", (second, gateway())),
            ("c", (0, Says::Well)),
        ]);
        let service = hedging().layer(world.ordered());
        let answer = service.clone().oneshot(1).await.unwrap();
        assert_eq!(answer.outcome, GATEWAY);
        world.says("a", [(first, gateway())]);
        world.says("b", [(second, never)]);
        let answer = service.clone().oneshot(1).await.unwrap();
        assert_eq!(answer.outcome, GATEWAY);
        world.asked();

        world.says("b", [(second, gateway())]);
        world.says("a", [(first, later)]);
        assert_eq!(service.oneshot(1).await.unwrap().from, "c");
        let log = world.log();
        assert_eq!(log[2].at - log[0].at, first + 700);
    }
}

#[tokio::test(start_paused = true)]
async fn who_loses_is_cancelled_and_counted_back() {
    let world = World::new([("a", (0, Says::Never)), ("b", (10, Says::Well))]);
    let observer = Observer::default();
    let service = hedging().observer(observer.clone()).layer(world.ordered());
    let asking = tokio::spawn(service.oneshot(1));
    sleep(ms(55)).await;
    let in_flight = |id| world.pool.get(id).unwrap().in_flight();
    assert_eq!((in_flight("a"), in_flight("b")), (1, 1));
    let answer = asking.await.unwrap().unwrap();
    assert_eq!((in_flight("a"), in_flight("b")), (0, 0));
    let lost = ("a".to_owned(), Outcome::Cancelled, Some(60));
    assert_eq!(told(&answer.before), std::slice::from_ref(&lost));
    let won = ("b".to_owned(), Outcome::Success, Some(10));
    let heard = observer.heard();
    assert_eq!(heard.requests, [[lost.clone(), won.clone()]]);
    assert_eq!(heard.attempts, [(0, lost), (1, won)]);
}

#[tokio::test(start_paused = true)]
async fn only_what_is_safe_is_hedged() {
    let world = World::new([("a", (100, Says::Well)), ("b", (0, Says::Well))]);
    let service = hedging().layer(world.ordered());
    assert_eq!(service.clone().oneshot(UNSAFE).await.unwrap().from, "a");
    assert_eq!(world.asked(), ["a"]);
    assert_eq!(service.oneshot(1).await.unwrap().from, "b");
}

#[tokio::test(start_paused = true)]
async fn without_a_token_nothing_is_hedged() {
    let world = World::new([("a", (100, Says::Well)), ("b", (0, Says::Well))]);
    let service = hedging().budget(tokens(1)).layer(world.ordered());
    assert_eq!(service.clone().oneshot(1).await.unwrap().from, "b");
    assert_eq!(service.oneshot(1).await.unwrap().from, "a");
    assert_eq!(world.asked(), ["a", "b", "a"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_alone_is_not_hedged_and_no_token_is_lost() {
    let world = World::new([("a", (100, Says::Well))]);
    let budget = tokens(1);
    let service = hedging().budget(budget.clone()).layer(world.ordered());
    assert_eq!(service.oneshot(1).await.unwrap().from, "a");
    assert_eq!(world.asked(), ["a"]);
    assert!(budget.available() >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn while_no_backend_has_the_request_nothing_is_hedged() {
    let world = World::new([("a", (100, Says::Well)), ("b", (0, Says::Well))]);
    world.pool.drain("a");
    world.pool.drain("b");
    let budget = tokens(1);
    let service = hedging().budget(budget.clone()).layer(world.ordered());
    let asking = tokio::spawn(service.oneshot(1));
    sleep(ms(200)).await;
    world.pool.undrain("a");
    assert_eq!(asking.await.unwrap().unwrap().from, "a");
    assert_eq!(world.asked(), ["a"]);
    assert!(budget.available() >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_hedge_is_one_of_the_attempts() {
    let world = World::new([("a", (60, BROKEN)), ("b", (60, BROKEN)), ("c", (0, BROKEN))]);
    for attempts in 1..5 {
        let layer = hedging().attempts(attempts).unwrap();
        let _ = layer.layer(world.ordered()).oneshot(1).await.unwrap_err();
        assert_eq!(world.asked().len(), attempts as usize);
    }
}

/// The others are out: there was no attempt, so the request has all of them left.
#[tokio::test(start_paused = true)]
async fn a_hedge_that_finds_nobody_is_no_attempt() {
    let world = World::new([("a", (60, BROKEN)), ("b", (0, Says::Well))]);
    world.pool.drain("b");
    let observer = Observer::default();
    let layer = hedging().attempts(2).unwrap().observer(observer.clone());
    let service = layer.layer(world.ordered());
    let error = service.oneshot(1).await.unwrap_err();
    assert_eq!(error.attempts().len(), 2, "{error}");
    assert_eq!(error.failure(), Some(Failure::Other));
    assert_eq!(world.asked(), ["a", "a"]);
    assert_eq!(observer.heard().requests[0].len(), 2);
}

/// A second backend, which takes one request, and has one: it is eligible, and full.
fn insert_busy<T: Clone + Send + Sync + 'static>(pool: &Pool<T>, b: T) -> Completion {
    pool.set_rules(Rules::new().limits(Limits::new().queue(10)));
    pool.insert(Backend::new("b", b).max_in_flight(1));
    pool.start(|_set| Some(1)).unwrap().1
}

#[tokio::test(start_paused = true)]
async fn a_hedge_does_not_wait_for_room_and_is_no_attempt_without_it() {
    let world = World::new([("a", (100, Says::Well))]);
    world.says("b", [(0, Says::Well)]);
    let busy = insert_busy(&world.pool, world.server("b"));
    let service = hedging().attempts(2).unwrap().layer(world.ordered());
    let asking = tokio::spawn(service.clone().oneshot(1));
    sleep(ms(70)).await;
    drop(busy);
    assert_eq!(asking.await.unwrap().unwrap().from, "a");
    assert_eq!(world.asked(), ["a"]);

    // There is an attempt left, for which there is room by then.
    world.says("a", [(100, BROKEN)]);
    let (_, busy) = world.pool.start(|_| Some(1)).unwrap();
    let asking = tokio::spawn(service.oneshot(2));
    sleep(ms(70)).await;
    drop(busy);
    assert_eq!(asking.await.unwrap().unwrap().from, "b");
    assert_eq!(world.asked(), ["a", "b"]);
}

/// What is found out at a moment at which the first attempt fails, too.
#[tokio::test(start_paused = true)]
async fn a_hedge_that_finds_nobody_hides_no_failure() {
    // Ends at the second poll of the moment at which it is hedged, or of a later one.
    let service = service_fn(move |_request: u64| {
        let (mut polls, began) = (0, Instant::now());
        std::future::poll_fn(move |_cx| {
            polls += u32::from(began.elapsed() >= ms(50));
            if polls == 2 {
                return Poll::Ready(Err::<(), _>(std::io::Error::other("out of order")));
            }
            Poll::Pending
        })
    });
    let pool = Pool::from([Backend::new("a", service)]);
    let _busy = insert_busy(&pool, service);
    let balance = Balance::new(pool, Ordered::new()).attempt_timeout(ms(70));
    let error = hedging().on([]).layer(balance).oneshot(1).await;
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Backend { .. }), "{error}");
    assert_eq!(error.backend(), Some("a"));
}

/// What was kept for the attempts after it is not needed any more.
#[tokio::test(start_paused = true)]
async fn nothing_is_kept_once_the_last_attempt_is_a_hedge() {
    let service = service_fn(|request: Arc<()>| async move {
        std::future::pending::<()>().await;
        drop(request);
        Ok::<_, std::io::Error>(())
    });
    let pool = Pool::from(["a", "b"].map(|name| Backend::new(name, service)));
    for (attempts, copies) in [(1, 1), (2, 2), (3, 3)] {
        let layer = RetryLayer::new(|_request: &Arc<()>| true);
        let layer = layer
            .attempts(attempts)
            .unwrap()
            .hedge(Hedge::after(ms(50)));
        let balance = Balance::new(pool.clone(), Ordered::new());
        let request = Arc::new(());
        let asking = tokio::spawn(layer.layer(balance).oneshot(Arc::clone(&request)));
        sleep(ms(100)).await;
        assert_eq!(
            Arc::strong_count(&request),
            1 + copies,
            "{attempts} attempts"
        );
        asking.abort();
    }
}

/// The last attempt's copy still tells whether the caller is waited for.
#[tokio::test(start_paused = true)]
async fn who_waits_for_the_caller_is_not_timed_out_because_of_a_hedge() {
    #[derive(Clone)]
    struct Sending(Awaited);
    impl Repeat<u64> for Sending {
        fn copy(&self, request: &u64) -> Option<u64> {
            Some(*request)
        }
        fn is_safe(&self, _request: &u64) -> bool {
            true
        }
        fn awaited(&self, _copy: &u64) -> Awaited {
            self.0
        }
    }
    // By when the caller has sent the rest.
    let until = || Awaited::Until((Instant::now() + ms(20)).into_std());
    for attempts in [2, 3] {
        for (awaited, a_took, b_took) in [
            (Some(Awaited::Never), 100, 100),
            (None, 120, 100),
            (Some(Awaited::Now), 1000, 950),
        ] {
            let awaited = awaited.unwrap_or_else(until);
            let world = World::new([("a", (0, Says::Never)), ("b", (0, Says::Never))]);
            let layer = RetryLayer::new(Sending(awaited)).attempts(attempts);
            let layer = layer.unwrap().on([]).total_time(ms(1000));
            let layer = layer.hedge(Hedge::after(ms(50)));
            let balance = world.ordered().attempt_timeout(ms(100));
            let error = layer.layer(balance).oneshot(1).await.unwrap_err();
            let took = told(error.attempts()).into_iter().map(|(_, _, took)| took);
            let expected = [Some(a_took), Some(b_took)];
            assert_eq!(took.collect::<Vec<_>>(), expected, "{attempts} {awaited:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_only_one_that_is_left_is_another_if_the_first_is_drained_by_now() {
    let world = World::new([("a", (100, Says::Well)), ("b", (0, Says::Well))]);
    let asking = tokio::spawn(hedging().layer(world.ordered()).oneshot(1));
    sleep(ms(10)).await;
    world.pool.drain("a");
    assert_eq!(asking.await.unwrap().unwrap().from, "b");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_beside_itself_is_retried_but_not_hedged() {
    #[derive(Clone)]
    struct OneByOne;
    impl Repeat<u64> for OneByOne {
        fn copy(&self, request: &u64) -> Option<u64> {
            Some(*request)
        }
        fn is_safe(&self, _request: &u64) -> bool {
            true
        }
        fn can_send_beside(&self, _copy: &u64) -> bool {
            false
        }
    }
    let world = World::new([("a", (100, BROKEN)), ("b", (0, Says::Well))]);
    let (budget, hedge) = (tokens(1), Hedge::after(ms(50)));
    let layer = RetryLayer::new(OneByOne).budget(budget).hedge(hedge);
    let answer = layer.layer(world.ordered()).oneshot(1).await.unwrap();
    assert_eq!(answer.from, "b");
    let log = world.log();
    assert_eq!(log[1].at - log[0].at, 100);
}

#[tokio::test(start_paused = true)]
async fn a_request_is_hedged_once() {
    let world = World::new([
        ("a", (0, Says::Never)),
        ("b", (0, BROKEN)),
        ("c", (0, Says::Well)),
    ]);
    let service = hedging().attempts(9).unwrap().layer(world.ordered());
    let asking = tokio::spawn(service.oneshot(1));
    sleep(ms(10_000)).await;
    assert_eq!(world.asked(), ["a", "b"]);
    asking.abort();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_pending_is_given_the_whole_delay_a_retry_too() {
    let world = World::new([
        ("a", (40, BROKEN)),
        ("b", (45, Says::Well)),
        ("c", (0, Says::Well)),
    ]);
    let service = hedging().layer(world.ordered());
    assert_eq!(service.clone().oneshot(1).await.unwrap().from, "b");
    assert_eq!(world.asked(), ["a", "b"]);

    world.says("b", [(60, Says::Well)]);
    let answer = service.oneshot(2).await.unwrap();
    assert_eq!(answer.from, "c");
    let [a, b, c] = world.log()[..] else {
        panic!("{:?}", world.log())
    };
    assert_eq!((b.at - a.at, c.at - b.at), (40, 50));
}

#[tokio::test(start_paused = true)]
async fn what_may_only_go_to_one_is_not_hedged() {
    let world = World::new([("a", (100, Says::Well)), ("b", (0, Says::Well))]);
    let service = hedging().layer(world.ordered()).attempts();
    let a = world.pool.get("a").unwrap().handle();
    let only = service.clone().oneshot(Attempt::new(1).only(a)).await;
    assert_eq!(only.unwrap().from, "a");
    assert_eq!(world.asked(), ["a"]);
    let prefers = service.oneshot(Attempt::new(1).to(a)).await;
    assert_eq!(prefers.unwrap().from, "b");
}

#[tokio::test(start_paused = true)]
async fn who_is_to_be_kept_from_the_others_costs_no_token() {
    let world = World::new([("a", (100, Says::Well)), ("b", (0, Says::Well))]);
    let budget = tokens(1);
    let service = hedging().budget(budget.clone()).layer(world.ordered());
    let b = world.pool.get("b").unwrap().handle();
    let answer = service.attempts().oneshot(Attempt::new(1).not_on(b)).await;
    assert_eq!(answer.unwrap().from, "a");
    assert!(budget.available() >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_percentile_is_learnt_and_until_then_nothing_is_hedged() {
    let world = World::new([("a", (20, Says::Well)), ("b", (1, Says::Well))]);
    let layer = layer().hedge(Hedge::percentile(0.9).unwrap());
    let service = layer.layer(world.ordered());
    for request in 0..100 {
        let answer = service.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.from, "a");
    }
    assert_eq!(world.asked().len(), 100);
    world.says("a", [(1000, Says::Well)]);
    let answer = service.clone().oneshot(100).await.unwrap();
    assert_eq!(answer.from, "b");
    let log = world.log();
    let delay = log[1].at - log[0].at;
    assert!((20..=22).contains(&delay), "{delay} ms of 20 and a 16th");
    // All that are slow are hedged and cancelled, which is how long they take at the least.
    let (before, mut delay) = (delay, 0);
    for _ in 0..200 {
        world.asked();
        sleep(ms(100)).await;
        let _ = service.clone().oneshot(101).await;
        let log = world.log();
        delay = log[1].at - log[0].at;
    }
    assert!(delay > before, "{delay} ms");
}

/// Those that nobody waits for any more, or that the deadline has ended, are the slowest.
#[tokio::test(start_paused = true)]
async fn a_percentile_learns_from_requests_that_were_given_up() {
    for dropped in [true, false] {
        let world = World::new([("a", (0, Says::Never)), ("b", (0, Says::Well))]);
        let mut layer = layer().hedge(Hedge::percentile(0.5).unwrap());
        if !dropped {
            layer = layer.total_time(ms(80));
        }
        let learning = layer.clone().layer(world.ordered());
        for request in 0..100 {
            let most = ms(if dropped { 80 } else { 1000 });
            let _ = timeout(most, learning.clone().oneshot(request)).await;
        }
        world.asked();
        let service = layer.total_time(ms(1000)).layer(world.ordered());
        let answer = service.oneshot(100).await.unwrap();
        assert_eq!(answer.from, "b");
        let log = world.log();
        assert!((80..=86).contains(&(log[1].at - log[0].at)), "{log:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_delay_has_a_least() {
    let world = World::new([("a", (0, Says::Never)), ("b", (0, Says::Well))]);
    let layer = layer().hedge(Hedge::after(ms(5)).minimum(ms(30)));
    assert_eq!(
        layer.layer(world.ordered()).oneshot(1).await.unwrap().from,
        "b"
    );
    assert_eq!(world.now(), 30);
}

#[test]
fn a_share_that_is_none_is_refused() {
    for share in [0.0, 0.49, 0.99991, 1.0, 95.0, -1.0, f64::NAN] {
        assert!(Hedge::percentile(share).is_err(), "{share}");
    }
    for share in [0.5, 0.9999] {
        assert!(Hedge::percentile(share).is_ok(), "{share}");
    }
}
