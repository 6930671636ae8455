//! What a second attempt is copied from.

use std::sync::Arc;
use std::time::Duration;

use evenkeel::balance::Awaited;
use evenkeel::picker::Ordered;
use evenkeel::retry::{Hedge, Repeat, RetryLayer};
use evenkeel::{Backend, Balance, Pool};
use tokio::time::{Instant, sleep};
use tower::{Layer, ServiceExt, service_fn};

use crate::setup::{BROKEN, Says, World, tokens, told};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
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
