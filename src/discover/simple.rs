use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use tower::BoxError;

use super::source::{Source, Update, Updates};
use crate::backend::Backend;

/// Makes a source of a list that never changes.
///
/// # Examples
///
/// ```
/// use evenkeel::discover::{Follow, fixed};
/// use evenkeel::{Backend, Pool};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let pool = Pool::<u16>::new();
/// let list = fixed([Backend::new("a", 8001u16), Backend::new("b", 8002)]);
/// let _feeding = Follow::new(list).spawn(&pool);
/// # tokio::time::sleep(std::time::Duration::from_millis(1)).await;
/// assert_eq!(pool.len(), 2);
/// # });
/// ```
pub fn fixed<V>(backends: impl IntoIterator<Item = Backend<V>>) -> impl Source<Value = V>
where
    V: Clone + Send + Unpin + 'static,
{
    Fixed(backends.into_iter().collect())
}

struct Fixed<V>(Vec<Backend<V>>);

impl<V: Clone + Send + Unpin + 'static> Source for Fixed<V> {
    type Value = V;

    fn name(&self) -> String {
        "fixed list".into()
    }

    fn watch(&mut self) -> Option<Updates<V>> {
        Some(Box::pin(OnceThenNothing(Some(Update::all(self.0.clone())))))
    }
}

struct OnceThenNothing<V>(Option<Update<V>>);

impl<V: Unpin> Stream for OnceThenNothing<V> {
    type Item = Result<Update<V>, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0
            .take()
            .map_or(Poll::Pending, |update| Poll::Ready(Some(Ok(update))))
    }
}

/// Makes a source of one stream of updates, which cannot be opened again: when it ends or fails, the
/// feeding does. For one that can, see [`source`](super::source()).
///
/// # Examples
///
/// ```
/// use evenkeel::discover::{Ended, Follow, Update, once};
/// use evenkeel::{Backend, Pool};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let updates = tokio_stream::iter([
///     Ok(Update::all([Backend::new("a", "10.0.0.1:80"), Backend::new("b", "10.0.0.2:80")])),
///     Ok(Update::changes().remove("a").put(Backend::new("b", "10.0.0.9:80").weight(3))),
/// ]);
/// let pool = Pool::new();
/// let ended = Follow::new(once("my registry", updates)).feed(&pool).await;
/// assert!(matches!(ended, Ended::Source));
/// assert_eq!(pool.len(), 1);
/// assert_eq!(pool.value("b"), Some("10.0.0.9:80"));
/// # });
/// ```
pub fn once<V, St>(name: impl Into<String>, updates: St) -> impl Source<Value = V>
where
    V: Send + 'static,
    St: Stream<Item = Result<Update<V>, BoxError>> + Send + 'static,
{
    Once {
        name: name.into(),
        updates: Some(Box::pin(updates)),
    }
}

pub(super) struct Once<V> {
    name: String,
    updates: Option<Updates<V>>,
}

impl<V: Send + 'static> Source for Once<V> {
    type Value = V;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn watch(&mut self) -> Option<Updates<V>> {
        self.updates.take()
    }
}
