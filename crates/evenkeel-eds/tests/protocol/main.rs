//! What goes over the wire, with a management server of the published protobuf.

mod answers;
mod connections;
#[path = "../manager/mod.rs"]
mod manager;
mod streams;

use std::time::Duration;

use evenkeel::InvalidSetting;
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

#[test]
fn settings_that_make_no_sense_are_refused_with_the_value() {
    let problem = |eds: Result<Eds, InvalidSetting>| eds.unwrap_err().to_string();
    for server in [
        "10.0.0.1:18000",
        "https://10.0.0.1:18000",
        "http://",
        "two words",
        "",
    ] {
        assert_eq!(
            problem(Eds::new(server, "shop")),
            format!(
                "invalid management server {server:?}: expected a URI such as http://10.0.0.1:18000"
            )
        );
    }
    let good = || Eds::new("http://10.0.0.1:18000", "shop").unwrap();
    assert_eq!(
        problem(Eds::new("http://10.0.0.1:18000", "")),
        "invalid cluster \"\": expected a name"
    );
    assert_eq!(
        problem(good().resource("")),
        "invalid resource \"\": expected a name"
    );
    assert_eq!(
        problem(good().max_message(0)),
        "invalid size of a message 0: expected at least one byte"
    );
}
