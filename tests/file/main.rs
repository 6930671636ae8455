//! Pools that are fed by a file.

mod changes;
mod errors;
mod format;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use evenkeel::Pool;
use evenkeel::discover::{Feeding, File, Follow};
use evenkeel::http::Address;
use evenkeel::set::SourceState;

/// A directory that is gone when this is.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("evenkeel-file-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file that is checked so rarely that only the operating system's word counts.
fn told(path: &Path) -> File {
    let file = File::new(path).unwrap();
    file.check_every(Duration::from_secs(3600)).unwrap()
}

/// A file that is checked, and nothing else.
fn checked(path: &Path) -> File {
    let file = File::new(path).unwrap().notices(false);
    file.check_every(Duration::from_millis(20)).unwrap()
}

fn follow(file: File) -> (Pool<Address>, Feeding) {
    let pool = Pool::new();
    let feeding = Follow::new(file).spawn(&pool);
    (pool, feeding)
}

fn ids(pool: &Pool<Address>) -> Vec<String> {
    let list = pool.list();
    let mut ids: Vec<_> = list.iter().map(|backend| backend.id().to_owned()).collect();
    ids.sort();
    ids
}

/// Waits until something is so, far longer than it takes.
async fn until(what: &str, so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn until_ids(pool: &Pool<Address>, wanted: &[&str]) {
    until(&format!("{wanted:?}"), || ids(pool) == wanted).await;
}

async fn until_error(pool: &Pool<Address>, part: &str) {
    until(part, || {
        let status = pool.status();
        let source = &status.sources()[0];
        let error = source.error().unwrap_or_default();
        source.state() == SourceState::Stale && error.contains(part)
    })
    .await;
}

async fn until_fresh(pool: &Pool<Address>) {
    until("fresh", || {
        pool.status().sources()[0].state() == SourceState::Fresh
    })
    .await;
}

/// Puts a text where a file is, all at once.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, path).unwrap();
}
