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

/// What has been handed out.
#[derive(Default)]
pub(crate) struct Seen {
    up_to: Option<Point>,
    /// So many sessions in a row that went on from there had no word.
    silent: u32,
}

/// Up to a revision of a store, everything.
#[derive(Clone, Copy)]
struct Point {
    cluster: u64,
    revision: i64,
}

/// After so many, what was missed is perhaps more than a message can have: all is read anew.
const MOST_SILENT: u32 = 3;

/// A message may be so large: a page of keys, or all that was missed.
const MOST_BYTES: usize = 64 << 20;

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
                self.forget();
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
                self.go_on_from(revision);
            }
            return Ok(update);
        }
    }

    /// Goes on where the last session ended, or reads all.
    async fn begin(&mut self) -> Result<Update<Address>, BoxError> {
        let mut client = self.cluster.connect().await?;
        if let Some(point) = self.where_to_go_on() {
            let (watch, found) = self.watch_from(&client, point.revision + 1).await?;
            // A store that was restored, or is another one, may never come to that revision.
            if found.cluster == point.cluster && found.revision >= point.revision {
                self.watch = Some(watch);
                // That it is heard again.
                return Ok(Update::changes());
            }
            self.forget();
        }
        let (update, point) = self.read_all(&mut client).await?;
        let (watch, _) = self.watch_from(&client, point.revision + 1).await?;
        self.watch = Some(watch);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = Seen {
            up_to: Some(point),
            silent: 0,
        };
        drop(seen);
        Ok(update)
    }

    /// Watches from a revision on. Returns where the store is, too.
    async fn watch_from(&self, client: &Client, revision: i64) -> Result<(Watch, Point), BoxError> {
        let options = WatchOptions::new()
            .with_range(end_of(&self.prefix))
            .with_start_revision(revision);
        let mut watching = client.watch_client().max_decoding_message_size(MOST_BYTES);
        let watching = watching.watch(self.prefix.clone(), Some(options));
        let mut watch = Watch {
            stream: self.cluster.within(watching).await?,
            _client: client.clone(),
        };
        let first = self.cluster.within(watch.stream.message()).await?;
        let first = first.ok_or("the watch ended at its beginning")?;
        if first.canceled() {
            let reason = first.cancel_reason();
            return Err(format!("the watch was cancelled at its beginning: {reason}").into());
        }
        let header = first.header().ok_or("a watch without a revision")?;
        let point = Point {
            cluster: header.cluster_id(),
            revision: header.revision(),
        };
        Ok((watch, point))
    }

    /// Reads all keys as they were at one revision, which is returned with them.
    async fn read_all(&self, client: &mut Client) -> Result<(Update<Address>, Point), BoxError> {
        let end = end_of(&self.prefix);
        let mut pages: Vec<GetResponse> = Vec::new();
        let (mut from, mut point) = (self.prefix.clone(), None::<Point>);
        let mut reading = client.kv_client().max_decoding_message_size(MOST_BYTES);
        let point = loop {
            let options = GetOptions::new()
                .with_range(end.clone())
                .with_limit(PAGE)
                .with_revision(point.map_or(0, |point| point.revision));
            let page = self
                .cluster
                .within(reading.get(from, Some(options)))
                .await?;
            let header = page.header().ok_or("an answer without a revision")?;
            let read = point.get_or_insert(Point {
                cluster: header.cluster_id(),
                revision: header.revision(),
            });
            let read = *read;
            let next = page.kvs().last().map(|last| [last.key(), &[0]].concat());
            let more = page.more();
            pages.push(page);
            match next {
                Some(next) if more => from = next,
                _ => break read,
            }
        };
        let keys = pages.iter().flat_map(GetResponse::kvs);
        let keys = keys.map(|key| (key.key(), key.value()));
        Ok((entries::all(&self.prefix, keys), point))
    }

    /// The place to go on from, unless that was tried in vain some times.
    fn where_to_go_on(&self) -> Option<Point> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.silent += 1;
        if seen.silent > MOST_SILENT {
            *seen = Seen::default();
        }
        seen.up_to
    }

    fn go_on_from(&self, revision: i64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.silent = 0;
        if let Some(point) = &mut seen.up_to {
            point.revision = revision;
        }
    }

    fn forget(&self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Seen::default();
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
