//! SIGTERM: running requests finish, and nobody is let in.

use std::time::Duration;

use tokio::net::TcpStream;

use super::backend::{backend, get};
use super::client::within;
use super::example::Proxy;
use super::reload::signal;

#[tokio::test]
async fn what_runs_finishes_and_then_the_process_ends_well() {
    let slow = backend("slow", Duration::from_secs(1)).await;
    let mut proxy = Proxy::start("round-robin", &[slow.to_string()]).await;
    let url = proxy.url("/");
    let running = tokio::spawn(async move { get(&url).await });
    tokio::time::sleep(Duration::from_millis(300)).await;
    signal(&proxy, "TERM");
    let refused = async { while TcpStream::connect(proxy.address()).await.is_ok() {} };
    within("a refused connection", refused).await;
    let (status, body) = running.await.expect("an answer");
    assert_eq!((status.as_u16(), &*body), (200, "slow"));
    let status = within("the end of the process", proxy.child.wait()).await;
    assert!(status.expect("it can be waited for").success());
}
