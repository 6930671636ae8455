//! Room that comes with time, without anybody giving it back.

use std::time::Duration;

use evenkeel::set::{Limits, Rules, SlowStart};
use evenkeel::{Backend, Balance, Pool};
use tokio::time::sleep;
use tower::{Service, ServiceExt};

use crate::setup::{Server, settle, task};

/// One that takes a single request, and one that has just joined and will take ten, once it has
/// started; both have as many as they take now.
async fn starting() -> (Balance<Server, u32>, Server, Vec<impl Sized>) {
    let (old, new) = (Server::new("old"), Server::new("new"));
    let start = SlowStart::new(Duration::from_secs(30)).unwrap();
    let rules = Rules::new().slow_start(start);
    let pool = Pool::new();
    pool.set_rules(rules.limits(Limits::new().max_in_flight(10)));
    pool.insert(Backend::new("old", old.clone()).max_in_flight(1));
    sleep(Duration::from_secs(60)).await;
    pool.insert(Backend::new("new", new.clone()));

    let balance = Balance::round_robin(pool).max_wait(Duration::from_secs(100));
    let busy = [0, 1].map(|request| {
        let mut busy = task(balance.clone().call(request));
        assert!(busy.poll().is_pending());
        busy
    });
    assert_eq!((old.now(), new.now()), (1, 1));
    (balance, new, Vec::from(busy))
}

#[tokio::test(start_paused = true)]
async fn those_in_line_get_the_room_that_a_slow_start_gives() {
    let (balance, new, _busy) = starting().await;
    let mut waiting = Vec::new();
    for request in 2..=10 {
        waiting.push(tokio::spawn(balance.clone().oneshot(request)));
        settle().await;
    }
    let mut before = 1;
    for seconds in 1..=31 {
        sleep(Duration::from_secs(1)).await;
        // No faster than it starts, of which the room is that part and 1 at least.
        let most = (seconds / 3).clamp(1, 10);
        let now = new.now();
        assert!(now <= most + 1, "{now} after {seconds} s");
        assert!(now + 1 >= most, "{now} after {seconds} s");
        assert!(now >= before);
        before = now;
    }
    // All nine, in their order.
    assert_eq!(new.now(), 10);
    assert_eq!(new.came()[1..], (2..=10).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn nobody_hangs_behind_a_line_that_formed_in_a_slow_start() {
    let (balance, new, _busy) = starting().await;
    let _waits = tokio::spawn(balance.clone().oneshot(2));
    sleep(Duration::from_secs(40)).await;
    let _newcomer = tokio::spawn(balance.clone().oneshot(3));
    settle().await;
    assert_eq!(new.now(), 3);
}
