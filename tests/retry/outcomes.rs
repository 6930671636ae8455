//! Which failures are retried, and how often.

use std::io::ErrorKind;
use std::time::Duration;

use evenkeel::backend::{Failure, Outcome};
use evenkeel::balance::Head;
use evenkeel::retry::{Hedge, Repeat, RetryLayer};
use evenkeel::{Balance, Pool};
use tower::{Layer, ServiceExt};

use crate::setup::{
    BROKEN, GATEWAY, LATE, REFUSED, Says, Server, UNSAFE, World, gateway, head, layer, tokens,
};

const REJECTED: Outcome = Outcome::Rejected;
const RESPONSE: Outcome = Outcome::Failure(Failure::Response);

type Layered = RetryLayer<fn(&u64) -> bool>;

/// Whether a request whose first attempt is answered so is sent again.
async fn is_retried(layer: &Layered, says: Says, request: u64) -> bool {
    let world = World::new([("a", (0, says)), ("b", (0, Says::Well))]);
    let result = layer.layer(world.ordered()).oneshot(request).await;
    let asked = world.asked();
    match asked[..] {
        ["a", "b"] => assert_eq!(result.unwrap().from, "b"),
        ["a"] => assert!(result.is_err() || result.unwrap().outcome != Outcome::Success),
        _ => panic!("{asked:?}"),
    }
    assert_eq!(world.in_flight(), 0);
    asked.len() == 2
}

#[tokio::test(start_paused = true)]
async fn the_table_of_what_is_retried() {
    // By default, and if it is told to retry nothing but that.
    let table = [
        (REFUSED, true, Some(Failure::Connect)),
        (LATE, true, Some(Failure::Timeout)),
        (
            head(Outcome::Failure(Failure::Timeout)),
            true,
            Some(Failure::Timeout),
        ),
        (gateway(), true, Some(Failure::Gateway)),
        (BROKEN, true, Some(Failure::Other)),
        (head(RESPONSE), false, Some(Failure::Response)),
        (head(REJECTED), false, None),
        (Says::Error(ErrorKind::ResourceBusy), false, None),
    ];
    for (says, by_default, failure) in table {
        assert_eq!(is_retried(&layer(), says, 1).await, by_default, "{says:?}");
        for only in [
            Failure::Connect,
            Failure::Timeout,
            Failure::Gateway,
            Failure::Response,
            Failure::Other,
        ] {
            let retried = is_retried(&layer().on([only]), says, 1).await;
            assert_eq!(retried, failure == Some(only), "{says:?} on {only:?}");
        }
        let none = is_retried(&layer().on([]), says, 1).await;
        assert!(!none, "{says:?} on nothing");
        let rejected = layer().on_rejected().on([]);
        let retried = is_retried(&rejected, says, 1).await;
        assert_eq!(retried, failure.is_none(), "{says:?} on rejected");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_cannot_be_retried_whatever_is_set() {
    let layer = layer().on([Failure::Body]);
    for says in [REFUSED, LATE, BROKEN, gateway(), head(RESPONSE)] {
        assert!(!is_retried(&layer, says, 1).await, "{says:?}");
    }
}

/// As where the caller's own request broke, or an error is the answer to a request that was wrong.
#[tokio::test(start_paused = true)]
async fn an_error_for_which_nobody_is_to_blame_is_not_retried() {
    for kind in [ErrorKind::Interrupted, ErrorKind::NotFound] {
        let retried = is_retried(&layer().on_rejected(), Says::Error(kind), 1).await;
        assert!(!retried, "{kind}");
    }
    assert!(!is_retried(&layer(), head(Outcome::Cancelled), 1).await);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_not_safe_is_retried_only_if_it_never_left() {
    for (says, retried) in [
        (REFUSED, true),
        (Says::Error(ErrorKind::AddrNotAvailable), true),
        // An established connection returns these as well, when the server has read all.
        (Says::Error(ErrorKind::HostUnreachable), false),
        (Says::Error(ErrorKind::NetworkUnreachable), false),
        (Says::Error(ErrorKind::NetworkDown), false),
        (LATE, false),
        (BROKEN, false),
        (gateway(), false),
        // A response that says that there was no connection: somebody has had the request.
        (head(Outcome::Failure(Failure::Connect)), false),
        (head(REJECTED), false),
        (head(RESPONSE), false),
    ] {
        let layer = layer().on_rejected();
        assert_eq!(is_retried(&layer, says, UNSAFE).await, retried, "{says:?}");
    }
    let not_connect = layer().on([Failure::Other]);
    assert!(!is_retried(&not_connect, REFUSED, UNSAFE).await);
}

#[tokio::test(start_paused = true)]
async fn what_forbids_another_attempt_is_obeyed() {
    let never = Says::Head(GATEWAY, Head::failed(GATEWAY).no_retry());
    assert!(!is_retried(&layer(), never, 1).await);
}

#[tokio::test(start_paused = true)]
async fn so_many_attempts_are_made_and_no_more() {
    for attempts in [1, 2, 3, 100] {
        let world = World::new([("a", (0, BROKEN)), ("b", (0, gateway()))]);
        let service = layer().attempts(attempts).unwrap().layer(world.ordered());
        let _ = service.oneshot(1).await;
        assert_eq!(world.asked().len(), attempts as usize);
        assert_eq!(world.in_flight(), 0);
    }
    let world = World::new([("a", (0, BROKEN))]);
    let _ = layer().layer(world.ordered()).oneshot(1).await;
    assert_eq!(world.asked().len(), 3, "the default");
    for attempts in [0, 101, u32::MAX] {
        let error = layer().attempts(attempts).unwrap_err().to_string();
        assert!(error.contains(&attempts.to_string()), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_goes_well_is_the_last_attempt() {
    let world = World::new([
        ("a", (0, BROKEN)),
        ("b", (0, gateway())),
        ("c", (0, Says::Well)),
    ]);
    let service = layer().attempts(9).unwrap().layer(world.ordered());
    assert_eq!(service.oneshot(1).await.unwrap().from, "c");
    assert_eq!(world.asked(), ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn where_there_is_no_backend_nothing_is_retried() {
    let budget = tokens(1);
    let layer = layer().budget(budget.clone());
    let service = layer.layer(Balance::round_robin(Pool::<Server>::new()));
    let error = service.oneshot(1).await.unwrap_err();
    assert!(error.is_no_backend(), "{error}");
    assert!(budget.available() >= 1.0);
}

/// As a request is asked that has no copy left to make one of.
#[tokio::test(start_paused = true)]
async fn a_request_that_can_be_copied_once_is_sent_twice() {
    struct Once;
    impl Repeat<u64> for Once {
        fn copy(&self, request: &u64) -> Option<u64> {
            (*request == 0).then_some(1)
        }
        fn is_safe(&self, _request: &u64) -> bool {
            true
        }
    }
    impl Clone for Once {
        fn clone(&self) -> Self {
            Self
        }
    }
    let world = World::new([("a", (0, BROKEN))]);
    let service = RetryLayer::new(Once).layer(world.ordered());
    let error = service.oneshot(0).await.unwrap_err();
    assert_eq!(error.attempts().len(), 2);
    assert_eq!(world.asked().len(), 2);
}

/// As one whose body was sent in part and not kept.
#[tokio::test(start_paused = true)]
async fn a_request_of_which_a_part_is_lost_is_not_sent_again() {
    #[derive(Clone)]
    struct Lost;
    impl Repeat<u64> for Lost {
        fn copy(&self, request: &u64) -> Option<u64> {
            Some(*request)
        }
        fn is_safe(&self, _request: &u64) -> bool {
            true
        }
        fn can_send(&self, copy: &u64) -> bool {
            *copy != 0
        }
    }
    let world = World::new([("a", (0, BROKEN)), ("b", (0, Says::Well))]);
    let (budget, hedge) = (tokens(1), Hedge::after(Duration::from_millis(50)));
    let layer = RetryLayer::new(Lost).budget(budget.clone()).hedge(hedge);
    let service = layer.layer(world.ordered());
    for says in [(0, BROKEN), (100, BROKEN)] {
        world.says("a", [says]);
        let error = service.clone().oneshot(0).await.unwrap_err();
        assert_eq!(error.attempts().len(), 1, "{error}");
        assert_eq!(world.asked(), ["a"]);
    }
    assert!(budget.available() >= 1.0);
    assert_eq!(service.oneshot(1).await.unwrap().from, "b");
}
