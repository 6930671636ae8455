//! The nodes of a cluster, one of which is talked to at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Client, ConnectOptions, Error};
use evenkeel::InvalidSetting;
use tokio::time::timeout;
use tower::BoxError;

/// Shared by all who talk to it.
#[derive(Clone)]
pub(crate) struct Cluster(Arc<Inner>);

struct Inner {
    nodes: Vec<String>,
    options: ConnectOptions,
    timeout: Duration,
    /// The node that was connected last. `Relaxed`: a hint.
    last: AtomicUsize,
}

/// How long a node may take, if it was not set.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(3);

/// A node that does not answer is noticed after both.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(2));

impl Cluster {
    pub(crate) fn new(
        nodes: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self, InvalidSetting> {
        let nodes: Vec<String> = nodes.into_iter().map(Into::into).collect();
        if nodes.is_empty() {
            return Err(InvalidSetting::new("nodes of etcd", "none", "one or more"));
        }
        for node in &nodes {
            let host = node
                .strip_prefix("http://")
                .or_else(|| node.strip_prefix("https://"));
            let valid = host.unwrap_or(node).parse::<evenkeel::http::Address>();
            if valid.is_err() {
                let given = format_args!("{node:?}");
                let expected = "[http://|https://]HOST[:PORT], without a path";
                return Err(InvalidSetting::new("node of etcd", given, expected));
            }
        }
        let options = ConnectOptions::new();
        Ok(Self(Arc::new(Inner {
            nodes,
            options,
            timeout: TIMEOUT,
            last: AtomicUsize::new(0),
        })))
    }

    pub(crate) fn options(self, options: ConnectOptions) -> Self {
        self.with(|inner| inner.options = options)
    }

    pub(crate) fn timeout(self, timeout: Duration) -> Result<Self, InvalidSetting> {
        if timeout.is_zero() {
            let given = format_args!("{timeout:?}");
            return Err(InvalidSetting::new(
                "time-out of etcd",
                given,
                "more than none",
            ));
        }
        Ok(self.with(|inner| inner.timeout = timeout))
    }

    fn with(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Inner {
            nodes: self.0.nodes.clone(),
            options: self.0.options.clone(),
            timeout: self.0.timeout,
            last: AtomicUsize::new(0),
        };
        change(&mut inner);
        Self(Arc::new(inner))
    }

    /// Connects to the next node, or the one after it, and so on: the one before may have failed.
    ///
    /// One at a time, since a client of several goes on asking those that are dead.
    pub(crate) async fn connect(&self) -> Result<Client, BoxError> {
        let inner = &*self.0;
        let first = inner.last.fetch_add(1, Ordering::Relaxed) + 1;
        let mut problem = None;
        for at in 0..inner.nodes.len() {
            let node = &inner.nodes[(first + at) % inner.nodes.len()];
            let (interval, patience) = KEEP_ALIVE;
            let options = inner
                .options
                .clone()
                .with_connect_timeout(inner.timeout)
                .with_keep_alive(interval, patience)
                .with_keep_alive_while_idle(true)
                // A node that is cut off from the others says so, instead of saying nothing.
                .with_require_leader(true);
            let connecting = async {
                let mut client = Client::connect([node], Some(options)).await?;
                // The client connects when it is used.
                client.status().await?;
                Ok::<_, Error>(client)
            };
            let error = match timeout(inner.timeout, connecting).await {
                Ok(Ok(client)) => {
                    inner.last.store(first + at, Ordering::Relaxed);
                    return Ok(client);
                }
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("no answer within {:?}", inner.timeout),
            };
            problem = Some(format!("{node}: {error}"));
        }
        let problem = problem.unwrap_or_default();
        Err(format!("no node of etcd can be reached; the last was {problem}").into())
    }

    /// Bounds a request.
    pub(crate) async fn within<T>(
        &self,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, BoxError> {
        match timeout(self.0.timeout, request).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(format!("no answer within {:?}", self.0.timeout).into()),
        }
    }

    pub(crate) fn patience(&self) -> Duration {
        self.0.timeout
    }
}
