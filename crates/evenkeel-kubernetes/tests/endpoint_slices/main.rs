//! Pools that are fed by `EndpointSlice`s, over an API server that is played.

#[path = "../../examples/kubernetes_discovery/api.rs"]
mod api;
mod endpoints;
mod failures;
mod rolling;

use std::time::Duration;

use evenkeel::Pool;
use evenkeel::discover::{Feeding, Follow};
use evenkeel::http::Address;
use evenkeel::set::SourceState;
use evenkeel_kubernetes::EndpointSlices;
use serde_json::Value;

use crate::api::Api;

fn source(api: &Api) -> EndpointSlices {
    EndpointSlices::new(api.client(), "shop", "web").unwrap()
}

fn follow(source: EndpointSlices) -> (Pool<Address>, Feeding) {
    let pool = Pool::new();
    let feeding = Follow::new(source).spawn(&pool);
    (pool, feeding)
}

fn slice(name: &str, endpoints: Value) -> Value {
    api::slice("web", name, 80, endpoints)
}

fn ids<T: Clone>(pool: &Pool<T>) -> Vec<String> {
    let list = pool.list();
    let mut ids: Vec<_> = list.iter().map(|backend| backend.id().to_owned()).collect();
    ids.sort();
    ids
}

/// Waits in virtual time until something is so.
async fn until(what: &str, so: impl Fn() -> bool) {
    for _ in 0..60_000 {
        if so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("never: {what}");
}

async fn until_ids<T: Clone>(pool: &Pool<T>, wanted: &[&str]) {
    until(&format!("{wanted:?}"), || ids(pool) == wanted).await;
}

fn state<T: Clone>(pool: &Pool<T>) -> SourceState {
    pool.status().sources()[0].state()
}

/// Lists and watches that were asked for.
fn asked(api: &Api) -> (usize, usize) {
    let requests = api.requests();
    let watches = requests
        .iter()
        .filter(|request| request.contains("watch=true"))
        .count();
    (requests.len() - watches, watches)
}
