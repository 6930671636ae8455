//! Clients that never stop asking, and what became of each request, as they saw it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use evenkeel::Balance;
use evenkeel::backend::Failure;
use evenkeel::http::{Address, OnBodyEnd, Via};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tower::ServiceExt;
use tower::timeout::Timeout;

use super::client::{HttpClient, request, within};

pub(crate) type Client =
    Balance<Address, Request<Empty<Bytes>>, Via<Timeout<HttpClient>>, OnBodyEnd>;

/// Running clients.
pub(crate) struct Load {
    tallies: Arc<Mutex<Tallies>>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

/// What became of the requests to one backend.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) successes: u64,
    pub(crate) failures: Vec<Failure>,
}

/// By backend.
type Tallies = HashMap<String, Tally>;

/// Between an answer and the client's next request.
const PAUSE: Duration = Duration::from_millis(15);

/// Stands for those that found no backend.
pub(crate) const NOWHERE: &str = "nowhere";

impl Load {
    pub(crate) fn begin(clients: usize, client: &Client) -> Self {
        let tallies = Arc::<Mutex<Tallies>>::default();
        let stop = Arc::<AtomicBool>::default();
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let (client, tallies, stop) = (client.clone(), tallies.clone(), stop.clone());
            running.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let (backend, failure) = ask(client.clone()).await;
                    lock(&tallies).entry(backend).or_default().count(failure);
                    sleep(PAUSE).await;
                }
            });
        }
        Self {
            tallies,
            stop,
            clients: running,
        }
    }

    /// What has become of the requests to a backend, as far as they have ended.
    pub(crate) fn tally(&self, backend: &str) -> Tally {
        lock(&self.tallies)
            .get(backend)
            .cloned()
            .unwrap_or_default()
    }

    /// How many requests were answered.
    pub(crate) fn successes(&self) -> u64 {
        let tallies = lock(&self.tallies);
        tallies.values().map(|tally| tally.successes).sum()
    }

    /// Waits until each client has ended its last request.
    pub(crate) async fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = async {
            while let Some(ended) = self.clients.join_next().await {
                ended.expect("no client panics");
            }
        };
        within("the clients' end", ended).await;
    }
}

impl Tally {
    fn count(&mut self, failure: Option<Failure>) {
        match failure {
            None => self.successes += 1,
            Some(failure) => self.failures.push(failure),
        }
    }

    pub(crate) fn total(&self) -> u64 {
        self.successes + self.failures.len() as u64
    }
}

fn lock(tallies: &Mutex<Tallies>) -> MutexGuard<'_, Tallies> {
    tallies.lock().expect("no client panics")
}

/// Who was asked, and what went wrong, if anything.
async fn ask(client: Client) -> (String, Option<Failure>) {
    match client.oneshot(request("/")).await {
        Ok(response) => {
            let backend = response.body().backend().to_owned();
            let whole = response.into_body().collect().await;
            (backend, whole.err().map(|_| Failure::Body))
        }
        Err(error) => {
            let backend = error.backend().unwrap_or(NOWHERE).to_owned();
            (backend, Some(error.failure().unwrap_or(Failure::Other)))
        }
    }
}
