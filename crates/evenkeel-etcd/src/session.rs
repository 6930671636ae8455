use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use etcd_client::{Client, GetOptions, GetResponse, KeyValue, WatchOptions, WatchStream};
use evenkeel::discover::Update;
use evenkeel::http::Address;
use tokio::time::timeout;
use tower::BoxError;

use crate::cluster::Cluster;
use crate::entries::{self, Entry, end_of};

/// One connection: what there is, then what changes, until it breaks.
pub(crate) struct Session {
    cluster: Cluster,
    prefix: Vec<u8>,
    seen: Arc<Mutex<Seen>>,
    watch: Option<Watch>,
}

/// The revision up to which everything was handed out.
#[derive(Default)]
pub(crate) struct Seen(Option<i64>);

struct Watch {
    stream: WatchStream,
    /// Ends with it, and is not used but by it.
    _client: Client,
}

/// So many keys at a time: with values of 1 KiB, a fourth of what a message may have.
const PAGE: i64 = 1000;

/// After so long without a word, the node is asked whether it is there.
const QUIET: Duration = Duration::from_secs(10);

impl Session {
    pub(crate) fn new(cluster: Cluster, prefix: Vec<u8>, seen: Arc<Mutex<Seen>>) -> Self {
        Self {
            cluster,
            prefix,
            seen,
            watch: None,
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Update<Address>, BoxError> {
        loop {
            let Some(watch) = &mut self.watch else {
                return self.begin().await;
            };
            let Some(message) = next_message(watch, self.cluster.patience()).await? else {
                return Err("the watch ended".into());
            };
            if message.canceled() && message.compact_revision() > 0 {
                // What was missed cannot be had any more: all is read anew.
                self.watch = None;
                self.set_seen(None);
                continue;
            }
            if message.canceled() {
                return Err(format!("the watch was cancelled: {}", message.cancel_reason()).into());
            }
            // The answer to whether the node is there. What revision it names is not to be relied on:
            // it can overtake events.
            if message.events().is_empty() {
                continue;
            }
            let events = message.events().iter().filter_map(|event| event.kv());
            let events: Vec<Entry<'_>> = events.map(|key| (key.key(), value(key))).collect();
            let update = entries::changes(&self.prefix, &events);
            // Not the revision of the header: of one that catches up, that is the store's own.
            let events = message.events().iter().filter_map(|event| event.kv());
            if let Some(revision) = events.map(KeyValue::mod_revision).max() {
                self.set_seen(Some(revision));
            }
            return Ok(update);
        }
    }

    /// Goes on where the last session ended, or reads all.
    async fn begin(&mut self) -> Result<Update<Address>, BoxError> {
        let mut client = self.cluster.connect().await?;
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).0;
        let (update, revision) = match seen {
            // That it is heard again.
            Some(revision) => (Update::changes(), revision),
            None => self.read_all(&mut client).await?,
        };
        let options = WatchOptions::new()
            .with_range(end_of(&self.prefix))
            .with_start_revision(revision + 1);
        let watching = client.watch(self.prefix.clone(), Some(options));
        let mut watch = Watch {
            stream: self.cluster.within(watching).await?,
            _client: client,
        };
        // Whether it can be watched from there is the first thing that it says.
        let first = self.cluster.within(watch.stream.message()).await?;
        let Some(first) = first else {
            return Err("the watch ended at its beginning".into());
        };
        if first.canceled() {
            self.set_seen(None);
            let reason = first.cancel_reason();
            return Err(format!("the watch was cancelled at its beginning: {reason}").into());
        }
        self.set_seen(Some(revision));
        self.watch = Some(watch);
        Ok(update)
    }

    /// Reads all keys as they were at one revision, which is returned with them.
    async fn read_all(&self, client: &mut Client) -> Result<(Update<Address>, i64), BoxError> {
        let end = end_of(&self.prefix);
        let mut pages: Vec<GetResponse> = Vec::new();
        let (mut from, mut revision) = (self.prefix.clone(), 0);
        loop {
            let options = GetOptions::new()
                .with_range(end.clone())
                .with_limit(PAGE)
                .with_revision(revision);
            let page = self.cluster.within(client.get(from, Some(options))).await?;
            if revision == 0 {
                let header = page.header().ok_or("an answer without a revision")?;
                revision = header.revision();
            }
            let next = page.kvs().last().map(|last| [last.key(), &[0]].concat());
            let more = page.more();
            pages.push(page);
            match next {
                Some(next) if more => from = next,
                _ => break,
            }
        }
        let keys = pages.iter().flat_map(GetResponse::kvs);
        let keys = keys.map(|key| (key.key(), key.value()));
        Ok((entries::all(&self.prefix, keys), revision))
    }

    fn set_seen(&self, revision: Option<i64>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).0 = revision;
    }
}

/// `None` if the key was deleted.
fn value(key: &KeyValue) -> Option<&[u8]> {
    (key.version() > 0).then(|| key.value())
}

async fn next_message(
    watch: &mut Watch,
    patience: Duration,
) -> Result<Option<etcd_client::WatchResponse>, BoxError> {
    if let Ok(message) = timeout(QUIET, watch.stream.message()).await {
        return Ok(message?);
    }
    watch.stream.request_progress().await?;
    match timeout(patience, watch.stream.message()).await {
        Ok(message) => Ok(message?),
        Err(_) => Err(format!("no word of the watch within {patience:?}").into()),
    }
}
