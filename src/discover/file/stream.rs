use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use futures_util::stream;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tower::BoxError;

use super::look::{Look, Signature, look};
use super::notices::Notices;
use super::settled::{QUIET, settled, signature};
use super::{Complaint, InvalidFile, Settings};
use crate::causes::causes;
use crate::discover::{Update, Updates};
use crate::http::Address;

/// How long after one look that found nothing good there is another, before that is an error.
const GRACE: Duration = Duration::from_millis(100);

/// File systems round times, some to two seconds. So a file that had been changed so shortly before
/// it was read may have been changed after it without a sign of that.
const ROUNDING: Duration = Duration::from_secs(2);

pub(super) fn updates(settings: Settings, complaint: Complaint) -> Updates<Address> {
    let following = Following {
        settings: Arc::new(settings),
        complaint,
        changed: Arc::default(),
        notices: None,
        seen: None,
        first: true,
    };
    Box::pin(stream::unfold(Some(following), async |following| {
        let mut following = following?;
        let next = following.next().await;
        // An error is the end of a stream.
        let rest = next.is_ok().then_some(following);
        Some((next, rest))
    }))
}

/// A file that is followed, with what was seen of it.
struct Following {
    settings: Arc<Settings>,
    complaint: Complaint,
    changed: Arc<Notify>,
    notices: Option<Notices>,
    /// What was read last, if it was good.
    seen: Option<Seen>,
    first: bool,
}

#[derive(Clone, Copy)]
struct Seen {
    hash: u64,
    signature: Signature,
    /// Whether the signature says all.
    sure: bool,
}

impl Following {
    async fn next(&mut self) -> Result<Update<Address>, BoxError> {
        loop {
            if !std::mem::take(&mut self.first) {
                self.wait().await;
            }
            self.aim().await;
            if self.is_as_it_was().await {
                // Other files of the directory may change without a pause.
                tokio::time::sleep(QUIET).await;
                continue;
            }
            match self.look().await {
                Ok(look) => {
                    self.saw(&look);
                    self.complain(None);
                    if let Some(update) = look.update {
                        return Ok(update);
                    }
                }
                Err(error) => {
                    // Once it is good again, that has to be said, even if it is what it was.
                    self.seen = None;
                    if self.complain(Some(text(&error))) {
                        return Err(error.into());
                    }
                }
            }
        }
    }

    /// Waits for a word of the operating system, or for the next check.
    async fn wait(&self) {
        let told = self.changed.notified();
        let _ = tokio::time::timeout(self.settings.check_every, told).await;
    }

    async fn aim(&mut self) {
        if !self.settings.notices {
            return;
        }
        let notices = self.notices.take();
        let changed = Arc::clone(&self.changed);
        let settings = Arc::clone(&self.settings);
        let aimed = spawn_blocking(move || {
            let mut notices = notices.or_else(|| Notices::new(changed))?;
            notices.aim(&settings.path);
            Some(notices)
        });
        self.notices = aimed.await.ok().flatten();
    }

    async fn is_as_it_was(&self) -> bool {
        match self.seen {
            Some(seen) if seen.sure => signature(&self.settings.path).await == Some(seen.signature),
            _ => false,
        }
    }

    /// Reads the file when nobody writes to it.
    async fn look(&self) -> Result<Look, InvalidFile> {
        settled(&self.settings.path).await;
        if let Ok(look) = self.read().await {
            return Ok(look);
        }
        tokio::time::sleep(GRACE).await;
        settled(&self.settings.path).await;
        self.read().await
    }

    async fn read(&self) -> Result<Look, InvalidFile> {
        let settings = Arc::clone(&self.settings);
        let known = self.seen.map(|seen| seen.hash);
        let read = spawn_blocking(move || look(&settings, known));
        // It fails only when the runtime is about to end.
        read.await
            .unwrap_or_else(|error| Err(InvalidFile::Io(std::io::Error::other(error))))
    }

    fn saw(&mut self, look: &Look) {
        let modified = look.signature.modified();
        let age = modified.and_then(|time| SystemTime::now().duration_since(time).ok());
        self.seen = Some(Seen {
            hash: look.hash,
            signature: look.signature,
            sure: age.is_some_and(|age| age > ROUNDING),
        });
    }

    /// Returns whether this was not what was told last.
    fn complain(&self, complaint: Option<String>) -> bool {
        let mut last = self
            .complaint
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let new = *last != complaint;
        *last = complaint;
        new
    }
}

fn text(error: &InvalidFile) -> String {
    let causes = causes(error).map(ToString::to_string);
    causes.collect::<Vec<_>>().join(": ")
}
