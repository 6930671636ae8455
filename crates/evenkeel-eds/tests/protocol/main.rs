//! What goes over the wire, with a management server of the published protobuf.

mod answers;
mod connections;
#[path = "../manager/mod.rs"]
mod manager;
mod streams;

use std::time::Duration;

use evenkeel::discover::{Feeding, Follow};
use evenkeel::http::Address;
use evenkeel::{Backoff, Pool};
use evenkeel_eds::Eds;

use self::manager::Manager;

const TYPE: &str = "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment";

fn follow(eds: Eds) -> (Pool<Address>, Feeding) {
    let pool = Pool::new();
    let pause = Duration::from_millis(10);
    let follow = Follow::new(eds).backoff(Backoff::new(pause, pause).unwrap());
    let feeding = follow.merge_within(Duration::ZERO).spawn(&pool);
    (pool, feeding)
}

fn eds(manager: &Manager) -> Eds {
    Eds::new(&manager.uri(), "shop").unwrap()
}
