//! The page of how the backends are.

use std::time::Duration;

use super::backend::{backend, get};
use super::example::Proxy;

#[tokio::test]
async fn the_status_says_what_went_through() {
    let a = backend("a", Duration::ZERO).await;
    // A port that was free a moment ago: the example prints the one of the proxy only to this test.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = free.local_addr().expect("its address").to_string();
    drop(free);
    let proxy = Proxy::start_with(&["--status", &at], &[a.to_string()]).await;
    for _ in 0..3 {
        assert_eq!(get(&proxy.url("/")).await.1, "a");
    }
    let (status, text) = get(&format!("http://{at}/metrics")).await;
    assert_eq!(status, 200);
    let line = format!(
        "evenkeel_attempts_total{{pool=\"backends\",backend=\"{a}\",outcome=\"success\"}} 3"
    );
    assert!(text.lines().any(|found| found == line), "{line} in {text}");
    let (status, page) = get(&format!("http://{at}/")).await;
    assert_eq!(status, 200);
    assert!(page.contains("<html"), "{page}");
}
