use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// The operating system's word that something has changed where a file is.
///
/// It may be about another file of the directory; who reads looks at the file itself.
#[derive(Debug)]
pub(super) struct Notices {
    watcher: RecommendedWatcher,
    /// Where the file really is, if not where its path says.
    elsewhere: Option<PathBuf>,
}

impl Notices {
    /// `None` if there is no more to be had of what this takes.
    pub(super) fn new(changed: Arc<Notify>) -> Option<Self> {
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // One that could not be told may have been of this file.
            if event.map_or(true, |event| is_change(event.kind)) {
                changed.notify_one();
            }
        });
        Some(Self {
            watcher: watcher.ok()?,
            elsewhere: None,
        })
    }

    /// Watches the directories in which the file is now. Blocks.
    ///
    /// To be called now and then: a directory that was not there may be, another one may have been
    /// put in its place, and links can lead elsewhere. Watching again what is watched is cheap. What
    /// cannot be watched now is left to the checks.
    pub(super) fn aim(&mut self, path: &Path) {
        let home = directory(path);
        let _ = self.watcher.watch(&home, RecursiveMode::NonRecursive);
        let real = path.canonicalize().ok().map(|real| directory(&real));
        let real = real.filter(|real| home.canonicalize().ok().as_ref() != Some(real));
        if let Some(left) = self.elsewhere.take()
            && real.as_ref() != Some(&left)
        {
            let _ = self.watcher.unwatch(&left);
        }
        if let Some(real) = &real {
            let _ = self.watcher.watch(real, RecursiveMode::NonRecursive);
        }
        self.elsewhere = real;
    }
}

/// The directory itself is watched, since a watch on a file stays with what was there before
/// another file was renamed over it.
fn directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// Reading is none, or what reads would wake itself.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}
