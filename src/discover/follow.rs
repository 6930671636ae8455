use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use futures_core::Stream;
use tower::BoxError;
use tower::discover::{Change, Discover};

use crate::backend::Backend;
use crate::set::Pool;

/// Why a source's feeding ended. The pool keeps the members that it had then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The source has no more to say.
    #[error("the source ended")]
    Source,
    /// The source failed.
    #[error("the source failed")]
    Failed(#[source] BoxError),
    /// Nobody has the pool any more.
    #[error("the pool was dropped")]
    PoolDropped,
}

/// The most changes that are published as one.
const AT_ONCE: usize = 1024;

/// Feeds a pool from tower's [`Discover`]: keys become ids.
///
/// The insertion of a live key replaces its service and keeps its statistics. Changes that are
/// ready together are published together. Returns why it ended.
///
/// The pool is held weakly: when all others have dropped it, this ends with the source's next
/// change, or at once if it was [spawned](super::spawn) and the handle is dropped.
///
/// # Cancel safety
///
/// Dropping the future stops the feeding; the pool keeps what it has.
///
/// # Examples
///
/// ```
/// use evenkeel::discover::{self, Ended};
/// use evenkeel::Pool;
/// use tower::discover::ServiceList;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let (a, b) = ("service a", "service b");
/// # #[derive(Clone)] struct Echo(&'static str);
/// # impl tower::Service<()> for Echo {
/// #     type Response = &'static str; type Error = std::io::Error;
/// #     type Future = std::future::Ready<Result<&'static str, std::io::Error>>;
/// #     fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Self::Error>> { std::task::Poll::Ready(Ok(())) }
/// #     fn call(&mut self, _: ()) -> Self::Future { std::future::ready(Ok(self.0)) }
/// # }
/// let pool = Pool::new();
/// let source = ServiceList::new::<()>([Echo(a), Echo(b)]);
/// let ended = discover::follow(source, &pool).await;
/// assert!(matches!(ended, Ended::Source));
/// assert_eq!(pool.len(), 2);
/// # }
/// ```
pub fn follow<D>(source: D, pool: &Pool<D::Service>) -> impl Future<Output = Ended> + use<D>
where
    D: Discover,
    D::Key: ToString,
    D::Service: Clone,
    D::Error: Into<BoxError>,
{
    let pool = pool.downgrade();
    async move {
        let mut source = pin!(source);
        loop {
            // What is there already is published as one change.
            let mut changes = Vec::new();
            let ended = poll_fn(|cx| {
                loop {
                    let ended = match source.as_mut().poll_discover(cx) {
                        Poll::Ready(Some(Ok(change))) => {
                            changes.push(change);
                            if changes.len() < AT_ONCE {
                                continue;
                            }
                            None
                        }
                        Poll::Ready(Some(Err(error))) => Some(Ended::Failed(error.into())),
                        Poll::Ready(None) => Some(Ended::Source),
                        Poll::Pending if changes.is_empty() => return Poll::Pending,
                        Poll::Pending => None,
                    };
                    return Poll::Ready(ended);
                }
            })
            .await;
            let Some(pool) = pool.upgrade() else {
                return Ended::PoolDropped;
            };
            pool.edit(|edit| {
                for change in changes {
                    match change {
                        Change::Insert(key, service) => {
                            edit.insert(Backend::new(key.to_string(), service));
                        }
                        Change::Remove(key) => edit.remove(&key.to_string()),
                    }
                }
            });
            if let Some(ended) = ended {
                return ended;
            }
            // A source that always has more must not keep others from the thread.
            tokio::task::yield_now().await;
        }
    }
}

/// Feeds a pool from a stream of whole sets, each of which replaces the one before; see
/// [`Pool::replace_all`]. Returns why it ended.
///
/// A member that stays and has another value, such as an address that moved, gets the new one.
///
/// An empty set means that there are no members. The pool is held weakly, as in [`follow`].
///
/// # Cancel safety
///
/// Dropping the future stops the feeding; the pool keeps what it has.
///
/// # Examples
///
/// ```
/// use evenkeel::{Backend, Pool, discover};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let sets = tokio_stream::iter([
///     vec![Backend::new("a", "10.0.0.1:80"), Backend::new("b", "10.0.0.2:80")],
///     vec![Backend::new("b", "10.0.0.9:80").weight(3)],
/// ]);
/// let pool = Pool::new();
/// discover::follow_sets(sets, &pool).await;
/// assert_eq!(pool.len(), 1);
/// assert_eq!(pool.value("b"), Some("10.0.0.9:80"));
/// # }
/// ```
pub fn follow_sets<St, I, T>(
    sets: St,
    pool: &Pool<T>,
) -> impl Future<Output = Ended> + use<St, I, T>
where
    St: Stream<Item = I>,
    I: IntoIterator<Item = Backend<T>>,
    T: Clone + PartialEq,
{
    each_set(sets, pool, |pool, set| {
        pool.replace_all(set);
    })
}

/// As [`follow_sets`], for values that cannot be compared, such as services: `make` turns what a
/// set says of a *new* member into its value, and a member that stays keeps the value that it has.
/// See [`Pool::replace_all_with`].
///
/// # Examples
///
/// ```
/// use evenkeel::{Backend, Pool, discover};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let sets = tokio_stream::iter([[Backend::new("a", 8001)], [Backend::new("b", 8002)]]);
/// let pool = Pool::new();
/// discover::follow_sets_with(sets, &pool, |port| format!("connection to {port}")).await;
/// assert_eq!(pool.value("b").as_deref(), Some("connection to 8002"));
/// # }
/// ```
pub fn follow_sets_with<St, I, V, T, F>(
    sets: St,
    pool: &Pool<T>,
    mut make: F,
) -> impl Future<Output = Ended> + use<St, I, V, T, F>
where
    St: Stream<Item = I>,
    I: IntoIterator<Item = Backend<V>>,
    T: Clone,
    F: FnMut(V) -> T,
{
    each_set(sets, pool, move |pool, set| {
        pool.replace_all_with(set, &mut make);
    })
}

fn each_set<St, T, F>(
    sets: St,
    pool: &Pool<T>,
    mut apply: F,
) -> impl Future<Output = Ended> + use<St, T, F>
where
    St: Stream,
    F: FnMut(&Pool<T>, St::Item),
{
    let pool = pool.downgrade();
    async move {
        let mut sets = pin!(sets);
        loop {
            let Some(set) = poll_fn(|cx| sets.as_mut().poll_next(cx)).await else {
                return Ended::Source;
            };
            let Some(pool) = pool.upgrade() else {
                return Ended::PoolDropped;
            };
            apply(&pool, set);
        }
    }
}
