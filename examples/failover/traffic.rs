//! Requests at a steady rate, whatever becomes of them, and a count of who answered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evenkeel::Balance;
use evenkeel::http::{Address, OnBodyEnd, Via};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::interval;
use tower::ServiceExt;
use tower::timeout::Timeout;

pub(crate) type HttpClient = Client<HttpConnector, Empty<Bytes>>;
pub(crate) type Balanced =
    Balance<Address, Request<Empty<Bytes>>, Via<Timeout<HttpClient>>, OnBodyEnd>;

/// 200 a second.
const APART: Duration = Duration::from_millis(5);

pub(crate) struct Traffic {
    counts: Arc<Mutex<Counts>>,
    stop: oneshot::Sender<()>,
    sending: JoinHandle<()>,
}

/// What became of the requests that have ended in some time.
#[derive(Clone, Default)]
pub(crate) struct Counts {
    answered: BTreeMap<String, usize>,
    failed: usize,
}

impl Traffic {
    pub(crate) fn begin(client: Balanced) -> Self {
        let counts = Arc::<Mutex<Counts>>::default();
        let (stop, stopped) = oneshot::channel();
        let sending = tokio::spawn(send(client, Arc::clone(&counts), stopped));
        Self {
            counts,
            stop,
            sending,
        }
    }

    /// Returns what there was so far, as it goes on counting.
    pub(crate) fn counts(&self) -> Arc<Mutex<Counts>> {
        Arc::clone(&self.counts)
    }

    /// Sends no more requests, and waits for those that run.
    pub(crate) async fn end(self) -> Result<(), tokio::task::JoinError> {
        drop(self.stop);
        self.sending.await
    }
}

async fn send(client: Balanced, counts: Arc<Mutex<Counts>>, mut stopped: oneshot::Receiver<()>) {
    let mut clock = interval(APART);
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            _ = clock.tick() => {}
        }
        let (client, counts) = (client.clone(), Arc::clone(&counts));
        running.spawn(async move {
            let answered = ask(client).await;
            let mut counts = lock(&counts);
            match answered {
                Some(backend) => *counts.answered.entry(backend).or_default() += 1,
                None => counts.failed += 1,
            }
        });
        while running.try_join_next().is_some() {}
    }
    running.join_all().await;
}

/// Returns who answered, if it was an answer.
async fn ask(client: Balanced) -> Option<String> {
    let response = client.oneshot(Request::default()).await.ok()?;
    let backend = response.body().backend().to_owned();
    let good = response.status().is_success();
    // To its end: a response that is dropped says nothing of its backend.
    let whole = response.into_body().collect().await.is_ok();
    (good && whole).then_some(backend)
}

pub(crate) fn lock(counts: &Mutex<Counts>) -> MutexGuard<'_, Counts> {
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Counts {
    pub(crate) fn failed(&self) -> usize {
        self.failed
    }

    pub(crate) fn sent(&self) -> usize {
        self.failed + self.answered.values().sum::<usize>()
    }

    /// What came after `earlier`.
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = |id| earlier.answered.get(id).copied().unwrap_or_default();
        let answered = self.answered.iter();
        Self {
            answered: answered
                .map(|(id, count)| (id.clone(), count - before(id)))
                .collect(),
            failed: self.failed - earlier.failed,
        }
    }

    /// Returns the part of all requests that one backend answered.
    fn share(&self, id: &str) -> f64 {
        let answered = self.answered.get(id).copied().unwrap_or_default();
        answered as f64 / self.sent().max(1) as f64
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for id in crate::NAMES {
            write!(f, "{id} {:>3.0} %   ", 100.0 * self.share(id))?;
        }
        match self.failed() {
            0 => write!(f, "of {}", self.sent()),
            failed => write!(f, "of {}, and {failed} failed", self.sent()),
        }
    }
}
