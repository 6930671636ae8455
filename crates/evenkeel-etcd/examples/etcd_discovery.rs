//! A pool that follows the keys of a prefix in etcd.
//!
//! ```text
//! cargo run -p evenkeel-etcd --example etcd_discovery -- /services/api/ http://127.0.0.1:2379
//! etcdctl put /services/api/a 10.0.0.1:8080
//! etcdctl put /services/api/b '{"address": "10.0.0.2:8080", "weight": 3}'
//! ```
//!
//! Needs an etcd, whose nodes are named after the prefix. Ends with Ctrl-C, or after a number of
//! seconds that is the last argument.

use std::time::Duration;

use evenkeel::Pool;
use evenkeel::discover::Follow;
use evenkeel::http::Address;
use evenkeel_etcd::Etcd;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds = arguments.pop_if(|last| last.parse::<u64>().is_ok());
    let (prefix, nodes) = arguments.split_first().ok_or("PREFIX NODE… [SECONDS]")?;

    let pool = Pool::<Address>::new();
    let mut events = pool.events();
    let _feeding = Follow::new(Etcd::new(nodes, prefix)?).spawn(&pool);

    let showing = async {
        while let Some(event) = events.next().await {
            println!("{event}");
        }
    };
    let end = async {
        match seconds.and_then(|seconds| seconds.parse().ok()) {
            Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            None => drop(tokio::signal::ctrl_c().await),
        }
    };
    tokio::select! {
        () = showing => {}
        () = end => {}
    }
    println!("{:#}", pool.status());
    Ok(())
}
