use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use evenkeel::Backend;
use evenkeel_etcd::{Registrar, RegistrationState};

use crate::cluster::Cluster;
use crate::until;

const PREFIX: &str = "/services/api/";

fn registrar(cluster: &Cluster) -> Registrar {
    let registrar = Registrar::new(cluster.urls(), PREFIX).unwrap();
    let registrar = registrar.lease(Duration::from_secs(2)).unwrap();
    registrar.timeout(Duration::from_secs(1)).unwrap()
}

fn backend(id: &str) -> Backend<evenkeel::http::Address> {
    Backend::new(id, "10.0.0.1:80".parse().unwrap())
}

async fn value(cluster: &Cluster, id: &str) -> Option<String> {
    let mut client = cluster.client().await;
    let answer = client.get(format!("{PREFIX}{id}"), None).await.unwrap();
    let key = answer.kvs().first()?;
    Some(key.value_str().unwrap().to_owned())
}

/// Waits until a key is there, or is not.
async fn until_there(cluster: &Cluster, id: &str, there: bool) {
    let start = Instant::now();
    while value(cluster, id).await.is_some() != there {
        assert!(start.elapsed() < Duration::from_secs(60), "{id}: {there}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn it_is_there_is_updated_stays_and_is_taken_out_at_once() {
    let Some(cluster) = Cluster::start(1).await else {
        return;
    };
    let mut registration = registrar(&cluster).register(backend("a")).unwrap();
    while !registration.state().is_registered() {
        registration.changed().await;
    }
    assert_eq!(
        value(&cluster, "a").await.unwrap(),
        r#"{"address":"http://10.0.0.1:80"}"#
    );
    registration.update(backend("a").weight(7));
    registration.update(backend("another id").weight(9));
    let start = Instant::now();
    while value(&cluster, "a").await.unwrap() != r#"{"address":"http://10.0.0.1:80","weight":7}"# {
        assert!(start.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // For longer than its lease.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(value(&cluster, "a").await.is_some());
    assert!(registration.state().is_registered());
    registration.shutdown().await;
    assert_eq!(value(&cluster, "a").await, None);
    assert_eq!(value(&cluster, "another id").await, None);
}

#[tokio::test]
async fn dropping_it_takes_the_backend_out() {
    let Some(cluster) = Cluster::start(1).await else {
        return;
    };
    let registration = registrar(&cluster).register(backend("a")).unwrap();
    until_there(&cluster, "a", true).await;
    drop(registration);
    let start = Instant::now();
    until_there(&cluster, "a", false).await;
    println!("after {:?}", start.elapsed());
}

#[tokio::test]
async fn it_is_registered_anew_when_etcd_was_gone_for_longer_than_the_lease() {
    let Some(mut cluster) = Cluster::start(1).await else {
        return;
    };
    let registration = registrar(&cluster).register(backend("a")).unwrap();
    until_there(&cluster, "a", true).await;
    cluster.kill_all();
    until("lost", || {
        matches!(registration.state(), RegistrationState::Lost { .. })
    })
    .await;
    println!("{}", registration.state());
    tokio::time::sleep(Duration::from_secs(3)).await;
    cluster.start_all();
    cluster.ready().await;
    // As if the lease had run out: etcd gives those that it finds after a restart all their time.
    cluster
        .client()
        .await
        .delete(format!("{PREFIX}a"), None)
        .await
        .unwrap();
    until_there(&cluster, "a", true).await;
    until("registered", || registration.state().is_registered()).await;
}

#[tokio::test]
async fn shutting_down_does_not_wait_for_an_etcd_that_is_not_there() {
    let registrar = Registrar::new(["http://127.0.0.1:1"], PREFIX).unwrap();
    let mut registration = registrar.register(backend("a")).unwrap();
    assert!(matches!(
        registration.changed().await.unwrap(),
        RegistrationState::Pending { error: Some(_), .. }
    ));
    let shutdown = registration.shutdown();
    tokio::time::timeout(Duration::from_secs(20), shutdown)
        .await
        .unwrap();
}

#[tokio::test]
async fn one_that_is_killed_is_gone_when_its_lease_is_over() {
    let Some(cluster) = Cluster::start(1).await else {
        return;
    };
    let mut server = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--example", "registered_server", "--"])
        .args([PREFIX, "killed", "10.0.0.1:80", "2"])
        .args(cluster.urls())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The server is a child of cargo, which passes nothing on that cannot be caught.
    let start = Instant::now();
    while value(&cluster, "killed").await.is_none() {
        assert!(
            start.elapsed() < Duration::from_secs(600),
            "it does not come"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let pattern = format!("registered_server {PREFIX} killed");
    let killed = Command::new("pkill")
        .args(["-KILL", "-f", &pattern])
        .status()
        .unwrap();
    assert!(killed.success());
    server.wait().unwrap();
    assert!(value(&cluster, "killed").await.is_some());
    until_there(&cluster, "killed", false).await;
}

#[tokio::test]
async fn updates_do_not_keep_the_lease_from_being_kept() {
    let Some(cluster) = Cluster::start(1).await else {
        return;
    };
    let registration = registrar(&cluster).register(backend("a")).unwrap();
    until_there(&cluster, "a", true).await;
    let start = Instant::now();
    let mut weight = 1;
    while start.elapsed() < Duration::from_secs(5) {
        weight += 1;
        registration.update(backend("a").weight(weight));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(
            value(&cluster, "a").await.is_some(),
            "after {:?}",
            start.elapsed()
        );
    }
}

#[tokio::test]
async fn the_last_registration_of_an_id_counts() {
    let Some(mut cluster) = Cluster::start(1).await else {
        return;
    };
    let registrar = registrar(&cluster).lease(Duration::from_secs(30)).unwrap();
    let old = registrar.register(backend("a")).unwrap();
    until("old", || old.state().is_registered()).await;
    let new = registrar.register(backend("a").weight(2)).unwrap();
    until("new", || new.state().is_registered()).await;
    old.update(backend("a").weight(9));
    until("replaced", || {
        matches!(old.state(), RegistrationState::Replaced)
    })
    .await;
    let theirs = r#"{"address":"http://10.0.0.1:80","weight":2}"#;
    assert_eq!(value(&cluster, "a").await.unwrap(), theirs);
    // Nor does it take it back when it has to begin anew.
    cluster.kill_all();
    until("lost", || {
        matches!(old.state(), RegistrationState::Lost { .. })
    })
    .await;
    until("lost", || {
        matches!(new.state(), RegistrationState::Lost { .. })
    })
    .await;
    cluster.start_all();
    cluster.ready().await;
    until("replaced", || {
        matches!(old.state(), RegistrationState::Replaced)
    })
    .await;
    until("new", || new.state().is_registered()).await;
    assert_eq!(value(&cluster, "a").await.unwrap(), theirs);
    old.shutdown().await;
    assert_eq!(value(&cluster, "a").await.unwrap(), theirs);
    // Somebody deletes the key by hand.
    cluster
        .client()
        .await
        .delete(format!("{PREFIX}a"), None)
        .await
        .unwrap();
    until_there(&cluster, "a", true).await;
    new.shutdown().await;
    assert_eq!(value(&cluster, "a").await, None);
}

#[tokio::test]
async fn shutting_down_after_an_error_takes_the_backend_out_by_another_node() {
    let Some(mut cluster) = Cluster::start(3).await else {
        return;
    };
    let registrar = registrar(&cluster).lease(Duration::from_secs(60)).unwrap();
    let registration = registrar.register(backend("a")).unwrap();
    until_there(&cluster, "a", true).await;
    // One of the three, whichever: the leader, so that the others are busy with that, too.
    let leader = cluster.leader().await;
    cluster.kill(leader);
    registration.update(backend("a").weight(3));
    registration.shutdown().await;
    until_there(&cluster, "a", false).await;
}

#[test]
fn an_empty_id_is_refused() {
    let registrar = Registrar::new(["http://127.0.0.1:1"], PREFIX).unwrap();
    let error = registrar.register(backend("")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid id \"\": expected one character or more"
    );
}
