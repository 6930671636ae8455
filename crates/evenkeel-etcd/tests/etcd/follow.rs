use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use etcd_client::{CompactionOptions, Txn, TxnOp};
use evenkeel::discover::{Feeding, Follow, Source, once};
use evenkeel::http::Address;
use evenkeel::set::SourceState;
use evenkeel::{Backoff, Balance, Pool};
use evenkeel_etcd::Etcd;
use futures_util::StreamExt;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use crate::cluster::Cluster;
use crate::until;

const PREFIX: &str = "/services/api/";

fn follow(cluster: &Cluster) -> Follow<Etcd> {
    let backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(500)).unwrap();
    let etcd = Etcd::new(cluster.urls(), PREFIX).unwrap();
    let etcd = etcd.timeout(Duration::from_secs(1)).unwrap();
    Follow::new(etcd).backoff(backoff)
}

fn ids<T: Clone>(pool: &Pool<T>) -> Vec<String> {
    let mut ids: Vec<_> = pool
        .list()
        .iter()
        .map(|info| info.id().to_owned())
        .collect();
    ids.sort();
    ids
}

async fn put(cluster: &Cluster, id: &str, value: &str) {
    let mut client = cluster.client().await;
    client
        .put(format!("{PREFIX}{id}"), value, None)
        .await
        .unwrap();
}

async fn delete(cluster: &Cluster, id: &str) {
    let mut client = cluster.client().await;
    client.delete(format!("{PREFIX}{id}"), None).await.unwrap();
}

#[tokio::test]
async fn keys_are_backends_and_bad_ones_are_named() {
    let Some(cluster) = Cluster::start(1).await else {
        return;
    };
    put(&cluster, "a", "10.0.0.1:80").await;
    put(
        &cluster,
        "bad",
        r#"{"address": "10.0.0.1:80", "weight": -1}"#,
    )
    .await;
    cluster
        .client()
        .await
        .put("/services/other/x", "10.0.0.9:80", None)
        .await
        .unwrap();
    let pool = Pool::<Address>::new();
    let mut events = pool.events();
    let _feeding = follow(&cluster).spawn(&pool);
    until("a", || ids(&pool) == ["a"]).await;
    put(
        &cluster,
        "b",
        r#"{"address": "10.0.0.2:80", "weight": 3, "zone": "z"}"#,
    )
    .await;
    until("b", || ids(&pool) == ["a", "b"]).await;
    let b = pool.get("b").unwrap();
    assert_eq!((b.weight(), b.zone()), (3, Some("z")));
    put(&cluster, "a", "nonsense:").await;
    put(&cluster, "b", "10.0.0.2:8080").await;
    until("b moves", || {
        pool.value("b").unwrap().authority() == "10.0.0.2:8080"
    })
    .await;
    assert_eq!(pool.value("a").unwrap().authority(), "10.0.0.1:80");
    delete(&cluster, "a").await;
    until("a leaves", || ids(&pool) == ["b"]).await;
    let told: Vec<_> = std::iter::from_fn(|| events.try_next())
        .map(|event| event.to_string())
        .filter(|event| event.contains("skipped"))
        .collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].contains("bad skipped: weight: invalid value: integer `-1`"),
        "{told:?}"
    );
    // Empty is not to be believed.
    delete(&cluster, "b").await;
    until("stale", || {
        pool.status().sources()[0].state() == SourceState::Stale
    })
    .await;
    assert_eq!(ids(&pool), ["b"]);
}

#[tokio::test]
async fn many_keys_come_in_pages_and_as_they_were_at_one_revision() {
    let Some(cluster) = Cluster::start(1).await else {
        return;
    };
    let mut client = cluster.client().await;
    for hundred in 0..32 {
        let put = |at| {
            TxnOp::put(
                format!("{PREFIX}{at:05}"),
                format!("10.0.0.1:{}", at + 1),
                None,
            )
        };
        let puts: Vec<_> = (hundred * 100..hundred * 100 + 100).map(put).collect();
        client.txn(Txn::new().and_then(puts)).await.unwrap();
    }
    let pool = Pool::<Address>::new();
    let _feeding = follow(&cluster).spawn(&pool);
    until("all", || !pool.is_empty()).await;
    // The first set is whole.
    assert_eq!(pool.len(), 3200);
}

#[tokio::test]
async fn what_was_compacted_while_nobody_looked_is_read_anew() {
    let Some(cluster) = Cluster::start(1).await else {
        return;
    };
    for id in ["a", "b"] {
        put(&cluster, id, "10.0.0.1:80").await;
    }
    let mut etcd = Etcd::new(cluster.urls(), PREFIX).unwrap();
    let mut updates = etcd.watch().unwrap();
    let _first = updates.next().await.unwrap().unwrap();
    drop(updates);

    delete(&cluster, "a").await;
    put(&cluster, "c", "10.0.0.3:80").await;
    let mut client = cluster.client().await;
    for _ in 0..5 {
        client.put("elsewhere", "x", None).await.unwrap();
    }
    let answer = client.get("elsewhere", None).await.unwrap();
    let revision = answer.header().unwrap().revision();
    let physical = CompactionOptions::new().with_physical();
    client.compact(revision, Some(physical)).await.unwrap();

    let pool = Pool::<Address>::new();
    let _feeding = Follow::new(etcd).spawn(&pool);
    until("as it is", || ids(&pool) == ["b", "c"]).await;
    assert_eq!(pool.status().sources()[0].state(), SourceState::Fresh);
}

#[tokio::test]
async fn a_stream_that_broke_goes_on_where_it_was() {
    let Some(cluster) = Cluster::start(1).await else {
        return;
    };
    put(&cluster, "a", "10.0.0.1:80").await;
    let mut etcd = Etcd::new(cluster.urls(), PREFIX).unwrap();
    let mut updates = etcd.watch().unwrap();
    let first = updates.next().await.unwrap().unwrap();
    drop(updates);
    delete(&cluster, "a").await;
    put(&cluster, "b", "10.0.0.2:80").await;
    let mut updates = etcd.watch().unwrap();
    let mut all = vec![Ok(first)];
    // That it is heard again, and the two changes, in one or two.
    let pool = Pool::<Address>::new();
    for _ in 0..2 {
        all.push(updates.next().await.unwrap());
    }
    while let Ok(Some(more)) = tokio::time::timeout(Duration::from_secs(1), updates.next()).await {
        all.push(more);
    }
    let said = format!("{all:?}");
    assert_eq!(said.matches("All(").count(), 1, "{said}");
    let all = futures_util::stream::iter(all);
    Follow::new(once("etcd", all)).feed(&pool).await;
    assert_eq!(ids(&pool), ["b"]);
}

/// Backends in this process, and when each was withdrawn.
#[derive(Clone, Default)]
struct Backends {
    withdrawn: Arc<Mutex<HashMap<String, Instant>>>,
    /// Requests that came too late.
    late: Arc<Mutex<Vec<String>>>,
}

type Serves = BoxCloneSyncService<(), String, io::Error>;

/// The merge window, the way to here, and a busy machine.
const SOON: Duration = Duration::from_millis(1500);

impl Backends {
    fn service(&self, address: &Address) -> Serves {
        let (backends, address) = (self.clone(), address.to_string());
        BoxCloneSyncService::new(service_fn(move |()| {
            let (backends, address) = (backends.clone(), address.clone());
            async move {
                let withdrawn = backends.withdrawn.lock().unwrap().get(&address).copied();
                if withdrawn.is_some_and(|at| at.elapsed() > SOON) {
                    backends.late.lock().unwrap().push(address.clone());
                }
                Ok::<_, io::Error>(address)
            }
        }))
    }

    fn withdraw(&self, address: &str) {
        let address = format!("http://{address}");
        self.withdrawn
            .lock()
            .unwrap()
            .insert(address, Instant::now());
    }

    fn feed(&self, cluster: &Cluster, pool: &Pool<Serves>) -> Feeding {
        let backends = self.clone();
        follow(cluster).spawn_with(pool, move |address| backends.service(address))
    }
}

/// Sends requests until it is told to stop; returns how many were answered, and what went wrong.
async fn requests(balance: Balance<Serves, ()>, stop: Arc<AtomicBool>) -> (usize, Vec<String>) {
    let (mut answered, mut failed) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        match balance.clone().oneshot(()).await {
            Ok(_) => answered += 1,
            Err(error) => failed.push(error.to_string()),
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (answered, failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_dies_then_all_nodes_and_no_request_fails() {
    let Some(mut cluster) = Cluster::start(3).await else {
        return;
    };
    for at in 0..4 {
        put(&cluster, &at.to_string(), &format!("10.0.0.{at}:80")).await;
    }
    let (backends, pool) = (Backends::default(), Pool::<Serves>::new());
    let _feeding = backends.feed(&cluster, &pool);
    until("four", || pool.len() == 4).await;

    let stop = Arc::new(AtomicBool::new(false));
    let balance = Balance::least_requests(pool.clone());
    let requests = tokio::spawn(requests(balance, Arc::clone(&stop)));

    // The leader is killed, and the others go on.
    let leader = cluster.leader().await;
    cluster.kill(leader);
    cluster.ready().await;
    backends.withdraw("10.0.0.0:80");
    delete(&cluster, "0").await;
    put(&cluster, "4", "10.0.0.4:80").await;
    until("another leader's changes", || {
        ids(&pool) == ["1", "2", "3", "4"]
    })
    .await;

    // All are, for ten seconds.
    cluster.kill_all();
    until("stale", || {
        pool.status().sources()[0].state() == SourceState::Stale
    })
    .await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(ids(&pool), ["1", "2", "3", "4"]);
    cluster.start_all();
    cluster.ready().await;
    backends.withdraw("10.0.0.1:80");
    delete(&cluster, "1").await;
    until("it goes on", || ids(&pool) == ["2", "3", "4"]).await;
    until("fresh", || {
        pool.status().sources()[0].state() == SourceState::Fresh
    })
    .await;
    tokio::time::sleep(2 * SOON).await;

    stop.store(true, Ordering::Relaxed);
    let (answered, failed) = requests.await.unwrap();
    assert!(answered > 1000, "{answered}");
    assert_eq!(failed, Vec::<String>::new());
    assert_eq!(*backends.late.lock().unwrap(), Vec::<String>::new());
    assert!(pool.list().iter().all(|info| info.in_flight() == 0));
}

#[tokio::test]
async fn a_node_that_hangs_is_left_for_another() {
    let Some(cluster) = Cluster::start(3).await else {
        return;
    };
    put(&cluster, "a", "10.0.0.1:80").await;
    let pool = Pool::<Address>::new();
    let _feeding = follow(&cluster).spawn(&pool);
    until("a", || pool.len() == 1).await;
    // Whichever it is connected to: one after the other hangs for a while.
    for at in 0..3 {
        cluster.signal(at, "-STOP");
        let id = format!("while {at} hangs");
        let others: Vec<_> = cluster
            .urls()
            .into_iter()
            .enumerate()
            .filter(|(other, _)| *other != at)
            .collect();
        let key = format!("{PREFIX}{id}");
        let start = Instant::now();
        loop {
            // If it was the leader, there is another one soon.
            let writing = async {
                let url = &others[0].1;
                let mut client = etcd_client::Client::connect([url], None).await?;
                client.put(&*key, "10.0.0.2:80", None).await
            };
            match tokio::time::timeout(Duration::from_secs(2), writing).await {
                Ok(Ok(_)) => break,
                _ => assert!(start.elapsed() < Duration::from_secs(30)),
            }
        }
        until(&id, || pool.get(&id).is_some()).await;
        cluster.signal(at, "-CONT");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let error = |nodes: &[&str], prefix: &str| {
        Etcd::new(nodes.iter().copied(), prefix)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(&[], "/a/"),
        "invalid nodes of etcd none: expected one or more"
    );
    assert_eq!(
        error(&["http://a:2379/path"], "/a/"),
        "invalid node of etcd \"http://a:2379/path\": expected [http://|https://]HOST[:PORT], without a path"
    );
    assert_eq!(
        error(&["a:2379"], ""),
        "invalid prefix \"\": expected one character or more"
    );
}

#[tokio::test]
async fn a_clone_begins_anew() {
    let Some(cluster) = Cluster::start(1).await else {
        return;
    };
    put(&cluster, "a", "10.0.0.1:80").await;
    let etcd = Etcd::new(cluster.urls(), PREFIX).unwrap();
    let pools: [Pool<Address>; 2] = [Pool::new(), Pool::new()];
    let mut feedings = Vec::new();
    for pool in &pools {
        feedings.push(Follow::new(etcd.clone()).spawn(pool));
        until("a", || pool.len() == 1).await;
    }
}

#[tokio::test]
async fn a_store_that_has_lost_its_data_is_read_anew() {
    let Some(cluster) = Cluster::start(1).await else {
        return;
    };
    for _ in 0..20 {
        put(&cluster, "a", "10.0.0.1:80").await;
    }
    let Some(other) = Cluster::start(1).await else {
        return;
    };
    put(&other, "b", "10.0.0.2:80").await;
    // The first one is left for one that has come less far.
    let mut nodes = cluster.urls();
    nodes.extend(other.urls());
    let mut etcd = Etcd::new(nodes, PREFIX).unwrap();
    let mut first = None;
    for _ in 0..2 {
        let update = etcd.watch().unwrap().next().await.unwrap().unwrap();
        first = Some(format!("{update:?}"));
    }
    // Each is connected to in its turn, and the second time it was the other one.
    let said = first.unwrap();
    assert!(said.contains("All("), "{said}");
}

#[tokio::test]
async fn large_values_are_read() {
    let Some(cluster) = Cluster::start(1).await else {
        return;
    };
    let value = |at: usize| {
        let address = format!(r#""address": "10.0.0.1:{}""#, at + 1);
        format!(
            r#"{{{address}, "metadata": {{"large": "{}"}}}}"#,
            "x".repeat(10_000)
        )
    };
    for at in 0..600 {
        put(&cluster, &at.to_string(), &value(at)).await;
    }
    let pool = Pool::<Address>::new();
    let _feeding = follow(&cluster).spawn(&pool);
    until("all", || pool.len() == 600).await;
}
