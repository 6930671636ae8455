//! Names as sources: a name server that is scripted, for all that can be wrong, and a real one.

mod addresses;
mod dnsmasq;
mod failures;
mod server;
mod services;
mod settings;
mod traffic;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use evenkeel::Backoff;
use evenkeel::Pool;
use evenkeel::discover::Follow;
use evenkeel::discover::dns::Dns;
use evenkeel::set::{Events, SourceState, SourceStatus};

/// Asks a server again and again, as fast as it is reasonable in a test.
fn quick(dns: Dns, server: SocketAddr) -> Dns {
    dns.name_server(server)
        .unwrap()
        .ttl_within(Duration::from_millis(20), Duration::from_millis(40))
        .unwrap()
        .timeout(Duration::from_millis(300))
        .unwrap()
}

fn follow(dns: Dns) -> Follow<Dns> {
    let (base, max) = (Duration::from_millis(20), Duration::from_millis(40));
    Follow::new(dns)
        .merge_within(Duration::ZERO)
        .backoff(Backoff::new(base, max).unwrap())
}

fn ids<T: Clone>(pool: &Pool<T>) -> Vec<String> {
    let mut ids: Vec<String> = pool
        .list()
        .iter()
        .map(|backend| backend.id().to_owned())
        .collect();
    ids.sort();
    ids
}

fn source<T: Clone>(pool: &Pool<T>) -> SourceStatus {
    pool.status().sources()[0].clone()
}

/// Waits until something is so; for as long as any machine should need.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn until_ids<T: Clone>(pool: &Pool<T>, expected: &[&str]) {
    until(&format!("{expected:?}"), || ids(pool) == expected).await;
}

async fn until_stale<T: Clone>(pool: &Pool<T>, error: &str) {
    until(&format!("stale with {error:?}: {:?}", source(pool)), || {
        let source = source(pool);
        let said = source.error().unwrap_or_default();
        matches!(source.state(), SourceState::Stale) && said.contains(error)
    })
    .await;
}

async fn until_fresh<T: Clone>(pool: &Pool<T>) {
    until("fresh", || source(pool).state() == SourceState::Fresh).await;
}

fn told(events: &mut Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_next())
        .map(|event| event.to_string())
        .collect()
}
