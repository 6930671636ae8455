use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::task::JoinHandle;

use super::Ended;
use crate::set::Feeder;

/// A source that is followed by a task; dropping this ends the task.
///
/// As a future it yields why the source ended.
#[derive(Debug)]
#[must_use = "dropping it ends the feeding"]
pub struct Feeding {
    task: JoinHandle<Ended>,
    /// Keeps the source in the pool's status when it has ended.
    _feeder: Option<Arc<Feeder>>,
}

/// Follows a source on a task of its own: what [`Follow::spawn`](super::Follow::spawn) does, for the
/// future of another function.
///
/// # Panics
///
/// Outside of a tokio runtime.
///
/// # Examples
///
/// ```
/// use evenkeel::discover::{self, Follow, Update, once};
/// use evenkeel::{Backend, Pool};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let pool = Pool::<u16>::new();
/// let updates = tokio_stream::iter([Ok(Update::all([Backend::new("a", 1u16)]))]);
/// let feeding = discover::spawn(Follow::new(once("list", updates)).feed(&pool));
/// println!("{}", feeding.await); // the source ended
/// assert_eq!(pool.len(), 1);
/// # }
/// ```
pub fn spawn(following: impl Future<Output = Ended> + Send + 'static) -> Feeding {
    Feeding {
        task: tokio::spawn(following),
        _feeder: None,
    }
}

/// The same, and its source stays in the pool's status until what this returns is dropped.
pub(super) fn spawn_listed(
    following: impl Future<Output = Ended> + Send + 'static,
    feeder: Arc<Feeder>,
) -> Feeding {
    Feeding {
        task: tokio::spawn(following),
        _feeder: Some(feeder),
    }
}

impl Future for Feeding {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        Pin::new(&mut self.task).poll(cx).map(|joined| {
            // It is aborted only when this is dropped, so what is left is a panic of the source.
            joined.unwrap_or_else(|panic| Ended::Failed(panic.into()))
        })
    }
}

impl Drop for Feeding {
    fn drop(&mut self) {
        self.task.abort();
    }
}
