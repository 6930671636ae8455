//! tower's `Discover` as a source.

use std::io;
use std::time::Duration;

use evenkeel::discover::{self, Ended};
use evenkeel::{Balance, Pool};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::ServiceExt;
use tower::discover::{Change, ServiceList};

use crate::common::{Echo, echo};
use crate::{Counting, ids};

type Changes = mpsc::UnboundedSender<io::Result<Change<&'static str, Echo>>>;

fn source() -> (
    Changes,
    UnboundedReceiverStream<io::Result<Change<&'static str, Echo>>>,
) {
    let (changes, source) = mpsc::unbounded_channel();
    (changes, UnboundedReceiverStream::new(source))
}

#[tokio::test(start_paused = true)]
async fn changes_reach_the_pool_without_any_request() {
    let (changes, source) = source();
    let pool = Pool::new();
    let _feeding = discover::spawn(discover::follow(source, &pool));
    changes.send(Ok(Change::Insert("a", echo("a")))).unwrap();
    changes.send(Ok(Change::Insert("b", echo("b")))).unwrap();
    tokio::time::sleep(Duration::from_millis(101)).await;
    assert_eq!(ids(&pool), ["a", "b"]);
    changes.send(Ok(Change::Remove("a"))).unwrap();
    tokio::time::sleep(Duration::from_millis(101)).await;
    assert_eq!(ids(&pool), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn the_insertion_of_a_live_key_swaps_the_service_and_keeps_what_is_known() {
    let (changes, source) = source();
    let pool = Pool::new();
    let balance = Balance::round_robin(pool.clone());
    let _feeding = discover::spawn(discover::follow(source, &pool));
    changes.send(Ok(Change::Insert("a", echo("old")))).unwrap();
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), "old");
    let handle = pool.get("a").unwrap().handle();
    changes.send(Ok(Change::Insert("a", echo("new")))).unwrap();
    tokio::time::sleep(Duration::from_millis(101)).await;
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), "new");
    assert_eq!(pool.get("a").unwrap().handle(), handle);
}

#[tokio::test(start_paused = true)]
async fn the_last_good_set_is_kept_when_the_source_fails_or_ends() {
    let (changes, source) = source();
    let pool = Pool::new();
    let feeding = discover::spawn(discover::follow(source, &pool));
    changes.send(Ok(Change::Insert("a", echo("a")))).unwrap();
    changes
        .send(Err(io::Error::other("the registry is down")))
        .unwrap();
    let ended = feeding.await;
    assert!(matches!(ended, Ended::Failed(_)));
    assert_eq!(ids(&pool), ["a"]);
    assert_eq!(Balance::round_robin(pool).oneshot(()).await.unwrap(), "a");
}

#[tokio::test(start_paused = true)]
async fn a_source_that_ended_with_an_empty_set_gives_an_error_and_does_not_hang() {
    let (changes, source) = source();
    let pool = Pool::new();
    drop(changes);
    let ended = discover::follow(source, &pool).await;
    assert!(matches!(ended, Ended::Source));
    assert!(
        Balance::round_robin(pool)
            .oneshot(())
            .await
            .unwrap_err()
            .is_no_backend()
    );
}

#[tokio::test(start_paused = true)]
async fn dropping_the_handle_ends_the_task() {
    let (changes, source) = source();
    let pool = Pool::new();
    let feeding = discover::spawn(discover::follow(source, &pool));
    tokio::task::yield_now().await;
    drop(feeding);
    tokio::time::sleep(Duration::from_millis(101)).await;
    assert!(changes.send(Ok(Change::Remove("a"))).is_err());
}

#[tokio::test(start_paused = true)]
async fn a_source_does_not_keep_the_pool_alive() {
    let (changes, source) = source();
    let pool = Pool::new();
    let feeding = discover::spawn(discover::follow(source, &pool));
    let weak = pool.downgrade();
    drop(pool);
    assert!(weak.upgrade().is_none());
    changes.send(Ok(Change::Insert("a", echo("a")))).unwrap();
    assert!(matches!(feeding.await, Ended::PoolDropped));
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_together_is_published_together() {
    let pool = Pool::new();
    let (counting, prepared) = Counting::new();
    let _balance = Balance::new(pool.clone(), counting);
    let before = prepared();
    let many = ServiceList::new::<()>(std::iter::repeat_with(|| echo("a")).take(1000));
    discover::follow(many, &pool).await;
    assert_eq!(pool.len(), 1000);
    assert_eq!(prepared(), before + 1);
}
