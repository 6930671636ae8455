//! SIGHUP: the file is read again, while requests run.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::backend::{Scratch, backend, get, listing};
use super::client::within;
use super::example::Proxy;

pub(crate) fn signal(proxy: &Proxy, name: &str) {
    let pid = proxy.child.id().expect("it runs").to_string();
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &pid])
        .status();
    assert!(sent.expect("kill is there").success());
}

#[tokio::test]
async fn requests_go_on_while_the_file_is_read_again_and_go_where_it_says() {
    let a = backend("a", Duration::from_millis(20)).await;
    let b = backend("b", Duration::from_millis(20)).await;
    let file = Scratch::new("reload.toml", &listing(&[a]));
    let none: [&str; 0] = [];
    let mut proxy = Proxy::start_with(&["--config", file.path()], &none).await;

    let stop = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (url, stop, served) = (proxy.url("/"), Arc::clone(&stop), Arc::clone(&served));
        asking.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let (status, _) = get(&url).await;
                assert_eq!(status, 200);
                served.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    for members in [&[a, b][..], &[b], &[a], &[b, a], &[b]] {
        file.replace(&listing(members));
        signal(&proxy, "HUP");
        let said = proxy.complaint().await;
        let s = if members.len() == 1 { "" } else { "s" };
        let told = format!("is in use: {} backend{s}: ", members.len());
        assert!(said.contains(&told), "{said}");
        let enough = served.load(Ordering::Relaxed) + 20;
        let more = async {
            while served.load(Ordering::Relaxed) < enough {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within("more answers", more).await;
    }
    stop.store(true, Ordering::Relaxed);
    while let Some(done) = asking.join_next().await {
        done.expect("each request was answered");
    }
    let mut names = BTreeSet::new();
    for _ in 0..10 {
        names.insert(get(&proxy.url("/")).await.1);
    }
    assert_eq!(Vec::from_iter(names), ["b"]);
}

#[tokio::test]
async fn a_file_that_is_wrong_changes_nothing_and_the_log_says_what_is() {
    let a = backend("a", Duration::ZERO).await;
    let file = Scratch::new("wrong.toml", &listing(&[a]));
    let none: [&str; 0] = [];
    let mut proxy = Proxy::start_with(&["--config", file.path()], &none).await;
    for empty in ["", "# nothing yet\n"] {
        file.replace(empty);
        signal(&proxy, "HUP");
        let said = proxy.complaint().await;
        let told = "expected at least one [[backend]]; all stays as it was";
        assert!(said.contains(told), "{said}");
    }
    file.replace("[[backend]]\naddress = \"https://127.0.0.1:1\"\n");
    signal(&proxy, "HUP");
    let said = proxy.complaint().await;
    let told = "expected --backend-ca FILE; all stays as it was";
    assert!(said.contains(told), "{said}");
    file.replace("[ejection]\nmax_ejected = 1.5\n");
    signal(&proxy, "HUP");
    let mut said = String::new();
    while !said.contains("all stays as it was") {
        said += &proxy.complaint().await;
    }
    let told =
        "ejection.max_ejected: invalid share of ejected backends 1.5: expected a share from 0 to 1";
    assert!(said.contains(told), "{said}");
    assert_eq!(get(&proxy.url("/")).await.1, "a");
}

#[test]
fn a_file_that_is_wrong_at_the_start_is_no_start() {
    let file = Scratch::new("start.toml", "[retry]\nattempts = 0\n");
    let output = super::example::run(&["--config", file.path()]);
    assert!(!output.status.success());
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("retry.attempts"), "{said}");
    let output = super::example::run(&["--config", "/nowhere/at/all.toml"]);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("/nowhere/at/all.toml"), "{said}");
}
