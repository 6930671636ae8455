//! Pools that are fed by a source.

mod common;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Echo, echo};
use evenkeel::discover::{self, Ended};
use evenkeel::picker::{Context, Update};
use evenkeel::{Backend, BackendSet, Balance, Picker, Pool};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tower::ServiceExt;
use tower::discover::{Change, ServiceList};

type Changes = mpsc::UnboundedSender<io::Result<Change<&'static str, Echo>>>;

fn source() -> (
    Changes,
    UnboundedReceiverStream<io::Result<Change<&'static str, Echo>>>,
) {
    let (changes, source) = mpsc::unbounded_channel();
    (changes, UnboundedReceiverStream::new(source))
}

fn ids<T: Clone>(pool: &Pool<T>) -> Vec<String> {
    pool.list()
        .iter()
        .map(|backend| backend.id().to_owned())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn changes_reach_the_pool_without_any_request() {
    let (changes, source) = source();
    let pool = Pool::new();
    let _feeding = discover::spawn(discover::follow(source, &pool));
    changes.send(Ok(Change::Insert("a", echo("a")))).unwrap();
    changes.send(Ok(Change::Insert("b", echo("b")))).unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(ids(&pool), ["a", "b"]);
    changes.send(Ok(Change::Remove("a"))).unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
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
    tokio::time::sleep(Duration::from_millis(1)).await;
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
    tokio::time::sleep(Duration::from_millis(1)).await;
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
async fn whole_sets_make_services_for_new_members_only() {
    let sets = [vec!["a", "b"], vec!["b", "c"], vec!["b", "c"]];
    let sets = sets.map(|set| {
        set.into_iter()
            .map(|id| Backend::new(id, id))
            .collect::<Vec<_>>()
    });
    let pool = Pool::new();
    let mut made = Vec::new();
    let ended = discover::follow_sets_with(tokio_stream::iter(sets), &pool, |id| {
        made.push(id);
        echo(id)
    })
    .await;
    assert!(matches!(ended, Ended::Source));
    assert_eq!(made, ["a", "b", "c"]);
    assert_eq!(ids(&pool), ["b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_moved_is_followed_and_keeps_its_handle() {
    let pool = Pool::from([Backend::new("pod-1", "10.0.0.1:80")]);
    let handle = pool.get("pod-1").unwrap().handle();
    let sets = tokio_stream::iter([[Backend::new("pod-1", "10.0.0.9:80")]]);
    discover::follow_sets(sets, &pool).await;
    assert_eq!(pool.value("pod-1"), Some("10.0.0.9:80"));
    assert_eq!(pool.get("pod-1").unwrap().handle(), handle);
}

#[tokio::test(start_paused = true)]
async fn what_is_ready_together_is_published_together() {
    let pool = Pool::new();
    let prepared = Arc::<AtomicUsize>::default();
    let _balance = Balance::new(pool.clone(), Counting(Arc::clone(&prepared)));
    let before = prepared.load(Ordering::Relaxed);
    let many = ServiceList::new::<()>(std::iter::repeat_with(|| echo("a")).take(1000));
    discover::follow(many, &pool).await;
    assert_eq!(pool.len(), 1000);
    assert_eq!(prepared.load(Ordering::Relaxed), before + 1);
}

/// Counts the sets that it is prepared for.
struct Counting(Arc<AtomicUsize>);

impl Picker<()> for Counting {
    fn pick(&self, _: &dyn BackendSet, (): &(), _: &mut Context) -> Option<usize> {
        Some(0)
    }

    fn prepare(&self, _: &Update<'_>) -> Option<Arc<dyn Picker<()>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        None
    }
}
