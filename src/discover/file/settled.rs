use std::path::Path;
use std::time::{Duration, SystemTime};

use super::look::Signature;

/// A file that has not changed for so long is taken to be written to its end.
pub(super) const QUIET: Duration = Duration::from_millis(50);

/// One that always changes is read all the same, after so many looks.
const LOOKS: u32 = 20;

/// Waits until nobody writes to a file.
pub(super) async fn settled(path: &Path) {
    let mut before = signature(path).await;
    for _ in 0..LOOKS {
        let modified = before.and_then(|signature| signature.modified());
        // A time to come is that of a clock that is not ours.
        let age = modified.and_then(|time| SystemTime::now().duration_since(time).ok());
        if age.is_some_and(|age| age > QUIET) {
            return;
        }
        tokio::time::sleep(QUIET).await;
        let now = signature(path).await;
        if now == before {
            return;
        }
        before = now;
    }
}

/// [`Signature::of`], away from the threads that must not wait.
pub(super) async fn signature(path: &Path) -> Option<Signature> {
    let path = path.to_owned();
    let signature = tokio::task::spawn_blocking(move || Signature::of(&path));
    signature.await.ok().flatten()
}
