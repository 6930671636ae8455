//! Pools that follow a real etcd.

mod cluster;
mod follow;
mod register;

use std::time::{Duration, Instant};

/// Waits until something is so; machines may be slow.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
