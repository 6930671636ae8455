use std::fmt;
use std::sync::Arc;

use futures_core::Stream;
use futures_core::stream::BoxStream;
use tower::BoxError;

use crate::backend::Backend;

/// Where members come from: something that can be asked, again and again if need be, to tell who
/// there is and what changes.
///
/// [`Follow`](super::Follow) does all else: it asks again when a stream ends or fails, merges
/// changes, keeps the last good set, and lets the pool know how the source is. So a source is short:
/// it connects, and says what it sees. With [`source`] a closure is one.
///
/// # Examples
///
/// ```
/// use evenkeel::discover::{Source, Update, Updates};
/// use evenkeel::Backend;
/// use futures_util::{StreamExt, stream};
///
/// /// Workers on one machine, as many as there are cores.
/// struct Workers;
///
/// impl Source for Workers {
///     type Value = u16;
///
///     fn name(&self) -> String {
///         "workers".into()
///     }
///
///     fn watch(&mut self) -> Option<Updates<u16>> {
///         let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u16);
///         let workers = (0..cores).map(|at| Backend::new(format!("worker-{at}"), 9000 + at));
///         let all = Update::all(workers);
///         // Nothing will ever change; a stream that ended would be opened again.
///         Some(stream::iter([Ok(all)]).chain(stream::pending()).boxed())
///     }
/// }
/// ```
pub trait Source: Send + 'static {
    /// What it says of where a backend is: an address.
    type Value: Send + 'static;

    /// Returns what it is called in a pool's [status](crate::set::PoolStatus::sources) and events,
    /// such as `dns api.example.com`.
    fn name(&self) -> String;

    /// Opens a stream of updates; `None` if there will never be one again.
    ///
    /// Called at the beginning, and again, after a pause, whenever a stream has ended or has yielded
    /// an error, which is its end. A stream begins with [`Update::all`], unless it goes on exactly
    /// where the one before has stopped.
    ///
    /// It must not wait: what takes time is done by the stream.
    fn watch(&mut self) -> Option<Updates<Self::Value>>;
}

/// What a [`Source`] says, one after the other.
pub type Updates<V> = BoxStream<'static, Result<Update<V>, BoxError>>;

/// One thing that a [`Source`] says: who there is, or what has changed.
///
/// Entries that are no good are [skipped](Self::skip), and hide none of the others.
#[derive(Debug)]
#[must_use]
pub struct Update<V> {
    pub(super) what: What<V>,
    pub(super) skipped: Vec<Skipped>,
}

#[derive(Debug)]
pub(super) enum What<V> {
    All(Vec<Backend<V>>),
    Changes(Vec<(Arc<str>, Option<Backend<V>>)>),
}

/// An entry of a source that is not taken, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Skipped {
    pub(super) entry: Arc<str>,
    pub(super) why: Arc<str>,
}

impl<V> Update<V> {
    /// These are all backends that there are.
    ///
    /// Of entries with one id the last is taken, and the others are skipped.
    pub fn all(backends: impl IntoIterator<Item = Backend<V>>) -> Self {
        Self {
            what: What::All(backends.into_iter().collect()),
            skipped: Vec::new(),
        }
    }

    /// Nothing has changed, until [`put`](Self::put) or [`remove`](Self::remove) say something.
    pub fn changes() -> Self {
        Self {
            what: What::Changes(Vec::new()),
            skipped: Vec::new(),
        }
    }

    /// There is this backend, or it is now like this.
    pub fn put(mut self, backend: Backend<V>) -> Self {
        match &mut self.what {
            What::All(all) => all.push(backend),
            What::Changes(changes) => changes.push((Arc::clone(&backend.id), Some(backend))),
        }
        self
    }

    /// There is no backend of this id any more.
    pub fn remove(mut self, id: impl Into<Arc<str>>) -> Self {
        let id = id.into();
        match &mut self.what {
            What::All(all) => all.retain(|backend| backend.id != id),
            What::Changes(changes) => changes.push((id, None)),
        }
        self
    }

    /// An entry is no good: if a member has this id, it stays as it is. It becomes an
    /// [event](crate::set::Happened::Skipped) and is counted in the pool's status.
    pub fn skip(mut self, entry: impl Into<Arc<str>>, why: impl fmt::Display) -> Self {
        self.skipped.push(Skipped {
            entry: entry.into(),
            why: why.to_string().into(),
        });
        self
    }

    /// Returns the entries that were skipped, each with the reason.
    pub fn skipped(&self) -> impl Iterator<Item = (&str, &str)> {
        self.skipped
            .iter()
            .map(|skipped| (&*skipped.entry, &*skipped.why))
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    type Value = S::Value;

    fn name(&self) -> String {
        (**self).name()
    }

    fn watch(&mut self) -> Option<Updates<S::Value>> {
        (**self).watch()
    }
}

/// Makes a source of a closure that opens a stream of updates.
///
/// # Examples
///
/// A registry that is asked every ten seconds:
///
/// ```
/// use evenkeel::discover::{Follow, Update, source};
/// use evenkeel::{Backend, Pool};
/// use futures_util::stream;
/// use std::time::Duration;
///
/// async fn ask() -> Result<Vec<(String, u16)>, std::io::Error> {
///     Ok(vec![("a".into(), 8001), ("b".into(), 8002)])
/// }
///
/// let registry = source("registry", || {
///     stream::unfold(Duration::ZERO, |pause| async move {
///         tokio::time::sleep(pause).await;
///         let answer = ask().await.map_err(Into::into);
///         let backends = |list: Vec<_>| list.into_iter().map(|(id, port)| Backend::new(id, port));
///         Some((answer.map(|list| Update::all(backends(list))), Duration::from_secs(10)))
///     })
/// });
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let pool = Pool::<u16>::new();
/// let _feeding = Follow::new(registry).spawn(&pool);
/// tokio::time::sleep(Duration::from_millis(1)).await;
/// assert_eq!(pool.len(), 2);
/// # });
/// ```
pub fn source<V, W, St>(name: impl Into<String>, watch: W) -> impl Source<Value = V>
where
    V: Send + 'static,
    W: FnMut() -> St + Send + 'static,
    St: Stream<Item = Result<Update<V>, BoxError>> + Send + 'static,
{
    Opened {
        name: name.into(),
        watch,
    }
}

struct Opened<W> {
    name: String,
    watch: W,
}

impl<V, W, St> Source for Opened<W>
where
    V: Send + 'static,
    W: FnMut() -> St + Send + 'static,
    St: Stream<Item = Result<Update<V>, BoxError>> + Send + 'static,
{
    type Value = V;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn watch(&mut self) -> Option<Updates<V>> {
        Some(Box::pin((self.watch)()))
    }
}
