//! Servers that are killed and servers that hang, behind a proxy that is asked all the time.
//!
//! Three Tornado servers, each a process of its own, answer for a proxy, which 64 clients ask over
//! connections that stay open. The servers are killed and started again in turn, one each second,
//! and then one of them hangs. The proxies are the example `reverse_proxy` and, to compare, nginx
//! with its defaults; each test prints what it saw as a table.
//!
//! A request has failed if its status is not 200, if there is no whole answer within 15 seconds, or
//! if its connection broke before the head of an answer. One whose answer breaks off after a good
//! head is counted apart: no proxy can take the head back. Latencies are reported and never
//! asserted.
//!
//! Where Python, the package index or nginx is missing, the tests say `skipped` and why; with `CI`
//! set they fail.
//!
//! What nginx does here follows from its defaults: after one failure it leaves a server alone for
//! ten seconds (`max_fails=1 fail_timeout=10s`), so that kills less than that apart leave it without
//! servers, which it answers with 502; when the last server is hung, it is still at that. Measured
//! with `max_fails=0`, no request failed, and while one server hung most clients waited for it; that
//! one is measured, too, with `--include-ignored`.

#![cfg(all(unix, feature = "http"))]

use tokio::process::Command;
use tokio::sync::Mutex;

use self::figures::Figures;
use self::front::Front;
use self::phases::{KILLS, Phase};
use self::server::three;

#[allow(dead_code, reason = "each test uses its own part")]
#[path = "../tornado/client.rs"]
mod client;
mod clients;
#[allow(dead_code, reason = "each test uses its own part")]
#[path = "../tornado/example.rs"]
mod example;
mod figures;
mod front;
mod load;
mod phases;
#[allow(dead_code, reason = "each test uses its own part")]
#[path = "../tornado/server.rs"]
mod server;
#[path = "../tornado/venv.rs"]
mod venv;

/// What was seen so far. Who measures holds it: two at once would slow each other down.
static SEEN: Mutex<Vec<(&str, Figures)>> = Mutex::const_new(Vec::new());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_servers_are_killed_one_by_one_and_one_hangs() {
    let mut seen = SEEN.lock().await;
    let Some(mut servers) = three(0.0).await else {
        return;
    };
    let mut proxy = Command::new(example::binary());
    proxy
        .args(["--listen", "127.0.0.1:0", "--picker", "least-requests"])
        .args(servers.each_ref().map(|server| &server.address));
    let front = Front::start("evenkeel", proxy).await;
    let figures = phases::run(front.address(), &mut servers).await;
    let complaints = front.end().await;

    figures::add(&mut seen, "evenkeel", figures.clone());
    let failures: Vec<_> = Phase::ALL.map(|phase| figures.failures(phase)).concat();
    let first = figures::excerpt(&failures);
    assert!(
        failures.is_empty(),
        "{first}\nthe proxy said:\n{complaints}"
    );
    served(&figures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_is_measured_in_the_same_way() {
    nginx("nginx", "").await;
}

/// The best that it can do: every request tries all servers, and none is left alone.
#[ignore = "it takes 45 seconds, and is for the README"]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_without_max_fails_is_measured_in_the_same_way() {
    nginx("max_fails=0", "max_fails=0").await;
}

async fn nginx(name: &'static str, parameters: &str) {
    let mut seen = SEEN.lock().await;
    let Some(mut servers) = three(0.0).await else {
        return;
    };
    let Some(front) = Front::nginx(&servers, parameters).await else {
        return;
    };
    let figures = phases::run(front.address(), &mut servers).await;
    front.end().await;

    figures::add(&mut seen, name, figures.clone());
    served(&figures);
}

/// A proxy that was not asked, or servers that were not killed, prove nothing.
fn served(figures: &Figures) {
    assert_eq!(figures.kills(), KILLS);
    for phase in Phase::ALL {
        assert_ne!(figures.served(phase), 0, "{phase:?}");
    }
}
