//! The retry storm: backends hang for a moment, and the retries of what was not answered keep them
//! from ever catching up.
//!
//! Four backends serve 25 requests a second each and are asked 60 times a second. Each attempt
//! waits a second. A backend serves what waits for it in order, also what nobody waits for any more:
//! that is what makes an overload last. For three seconds all of them hang. Time is paused.
//!
//! The first two tests are the measure: the world without retries, and with three of them for
//! everybody. The third is the promise, in the same world with evenkeel's own retries: with its
//! budget (a fifth of the requests), the last seconds have no failures, and of all attempts no more
//! than a fifth of the requests, and what the budget grants at the least, are retries.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel::retry::RetryLayer;
use evenkeel::{Backend, Balance, Pool};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tower::{Layer, Service, ServiceExt};

const BACKENDS: [&str; 4] = ["a", "b", "c", "d"];
const SERVES_IN: Duration = Duration::from_millis(40);
const BETWEEN_REQUESTS: Duration = Duration::from_micros(16_667);
const PATIENCE: Duration = Duration::from_secs(1);
const HANG_FROM: Duration = Duration::from_secs(5);
const HANG_TO: Duration = Duration::from_secs(8);
/// Long after the hang: who recovers at all has recovered.
const LATE: Duration = Duration::from_secs(40);
const END: Duration = Duration::from_secs(60);

/// Serves one request after the other, in order.
#[derive(Clone)]
struct Server {
    turn: Arc<Mutex<()>>,
    attempts: Arc<AtomicUsize>,
    began: Instant,
}

impl Service<()> for Server {
    type Response = ();
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<()>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: ()) -> Self::Future {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        let (server, (answer, answered)) = (self.clone(), oneshot::channel());
        // It learns too late that nobody waits any more.
        tokio::spawn(async move {
            let _turn = server.turn.lock().await;
            if server.began.elapsed() >= HANG_FROM {
                sleep_until(server.began + HANG_TO).await;
            }
            sleep(SERVES_IN).await;
            let _ = answer.send(());
        });
        Box::pin(async {
            let answer = timeout(PATIENCE, answered).await?;
            answer.map_err(io::Error::other)
        })
    }
}

/// What became of the requests.
#[derive(Debug, Default)]
struct Storm {
    requests: usize,
    attempts: usize,
    /// Those sent after [`LATE`].
    late: usize,
    late_failures: usize,
}

/// Sends requests at a steady rate, each by way of `send`, whatever becomes of those before it.
async fn storm<F>(send: impl Fn(Balance<Server, ()>) -> F) -> Storm
where
    F: Future<Output = bool> + Send + 'static,
{
    let (began, attempts) = (Instant::now(), Arc::<AtomicUsize>::default());
    let servers = BACKENDS.map(|name| {
        let server = Server {
            turn: Arc::default(),
            attempts: Arc::clone(&attempts),
            began,
        };
        Backend::new(name, server)
    });
    let balance = Balance::least_requests(servers.into_iter().collect::<Pool<_>>()).seed(7);

    let (mut storm, mut late) = (Storm::default(), JoinSet::new());
    while began.elapsed() < END {
        let request = send(balance.clone());
        storm.requests += 1;
        if began.elapsed() >= LATE {
            late.spawn(request);
        } else {
            tokio::spawn(request);
        }
        sleep_until(began + BETWEEN_REQUESTS * storm.requests as u32).await;
    }
    storm.late = late.len();
    let answered = late.join_all().await;
    storm.late_failures = answered.iter().filter(|&answered| !answered).count();
    storm.attempts = attempts.load(Ordering::Relaxed);
    storm
}

async fn once(balance: Balance<Server, ()>) -> bool {
    balance.oneshot(()).await.is_ok()
}

/// At once, three times more, whatever it was.
async fn with_three_retries(balance: Balance<Server, ()>) -> bool {
    for _ in 0..4 {
        if once(balance.clone()).await {
            return true;
        }
    }
    false
}

#[tokio::test(start_paused = true)]
async fn without_retries_a_hang_is_over_soon() {
    let storm = storm(once).await;
    assert_eq!(storm.late_failures, 0, "{storm:?}");
    assert_eq!(storm.attempts, storm.requests, "{storm:?}");
}

#[tokio::test(start_paused = true)]
async fn retries_without_a_budget_make_a_hang_last_for_ever() {
    let storm = storm(with_three_retries).await;
    assert!(storm.late_failures * 10 > storm.late * 9, "{storm:?}");
    assert!(storm.attempts > storm.requests * 3, "{storm:?}");
}

#[tokio::test(start_paused = true)]
async fn with_a_budget_a_hang_is_over_and_retries_are_few() {
    let layer = RetryLayer::new(|_request: &()| true).attempts(4).unwrap();
    let storm = storm(|balance| {
        let retrying = layer.layer(balance);
        async { retrying.oneshot(()).await.is_ok() }
    })
    .await;
    assert_eq!(storm.late_failures, 0, "{storm:?}");
    // A fifth, and ten a second, of which ten seconds are there at the start.
    let retries = storm.requests / 5 + 10 * (END.as_secs() as usize + 10);
    let most = storm.requests + retries;
    assert!(storm.attempts <= most, "{most}: {storm:?}");
    assert!(
        storm.attempts > storm.requests + 100,
        "it retried: {storm:?}"
    );
}
