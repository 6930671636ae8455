use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Instant;

use super::events::{Happened, Log};
use crate::time::now;

/// How one source of a pool's members is, from [`PoolStatus::sources`](super::PoolStatus::sources).
///
/// # Examples
///
/// ```
/// # #[cfg(feature = "tower")] {
/// use evenkeel::discover::{Follow, fixed};
/// use evenkeel::set::SourceState;
/// use evenkeel::{Backend, Pool};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let pool = Pool::<&str>::new();
/// let _feeding = Follow::new(fixed([Backend::new("a", "10.0.0.1:80")])).spawn(&pool);
/// assert_eq!(pool.status().sources()[0].state(), SourceState::Connecting);
///
/// tokio::time::sleep(std::time::Duration::from_millis(1)).await;
/// let status = pool.status();
/// assert_eq!(status.sources()[0].to_string(), "fixed list: fresh, 1 backend");
/// # });
/// # }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SourceStatus {
    name: Arc<str>,
    state: SourceState,
    since: Instant,
    updated: Option<Instant>,
    error: Option<Arc<str>>,
    members: usize,
    skipped: usize,
}

/// What can be said of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SourceState {
    /// It has not said anything yet.
    Connecting,
    /// It is heard, and the pool has what it says.
    Fresh,
    /// It fails, or has handed out nothing at all: the pool keeps the last good set.
    Stale,
    /// It will not say anything any more: the pool keeps the last good set.
    Ended,
}

/// The sources of a pool, and who of them wants to know when it ends.
pub(super) struct Sources {
    inner: Mutex<Inner>,
    log: Arc<Log>,
}

#[derive(Default)]
struct Inner {
    list: Vec<Listed>,
    ids: u64,
    closed: bool,
}

struct Listed {
    id: u64,
    status: SourceStatus,
    waker: Option<Waker>,
}

/// One source's place among those of a pool, which it leaves when it is dropped. It does not keep
/// the pool alive.
pub(crate) struct Feeder {
    sources: Arc<Sources>,
    id: u64,
}

impl Sources {
    pub(super) fn new(log: Arc<Log>) -> Self {
        Self {
            inner: Mutex::default(),
            log,
        }
    }

    pub(super) fn list(&self) -> Vec<SourceStatus> {
        let inner = self.inner();
        inner
            .list
            .iter()
            .map(|listed| listed.status.clone())
            .collect()
    }

    /// The pool is no more.
    pub(super) fn close(&self) {
        let mut inner = self.inner();
        inner.closed = true;
        let wakers: Vec<Waker> = inner
            .list
            .iter_mut()
            .filter_map(|listed| listed.waker.take())
            .collect();
        drop(inner);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg_attr(
    not(feature = "tower"),
    expect(dead_code, reason = "sources are streams")
)]
impl Feeder {
    pub(super) fn new(sources: &Arc<Sources>, name: &str) -> Self {
        let mut inner = sources.inner();
        inner.ids += 1;
        let id = inner.ids;
        // Names tell sources apart, in events and metrics as well.
        let is_taken = |name: &str| inner.list.iter().any(|listed| &*listed.status.name == name);
        let mut unique = name.to_owned();
        for number in 2.. {
            if !is_taken(&unique) {
                break;
            }
            unique = format!("{name} #{number}");
        }
        inner.list.push(Listed {
            id,
            status: SourceStatus {
                name: unique.into(),
                state: SourceState::Connecting,
                since: now(),
                updated: None,
                error: None,
                members: 0,
                skipped: 0,
            },
            waker: None,
        });
        drop(inner);
        Self {
            sources: Arc::clone(sources),
            id,
        }
    }

    /// Ready when the pool is no more.
    pub(crate) fn poll_closed(&self, waker: &Waker) -> Poll<()> {
        let mut inner = self.sources.inner();
        if inner.closed {
            return Poll::Ready(());
        }
        let mut list = inner.list.iter_mut();
        let old = list
            .find(|listed| listed.id == self.id)
            .filter(|listed| {
                let known = listed.waker.as_ref();
                !known.is_some_and(|known| known.will_wake(waker))
            })
            .and_then(|listed| listed.waker.replace(waker.clone()));
        drop(inner);
        // A waker's `Drop` is somebody else's code: without the lock.
        drop(old);
        Poll::Pending
    }

    /// The pool has what the source says, which are so many.
    pub(crate) fn fresh(&self, members: usize) {
        self.change(SourceState::Fresh, None, Some(members));
    }

    /// The pool has so many of the source's, and nothing else is known.
    pub(crate) fn has(&self, members: usize) {
        self.with(|status| status.members = members);
    }

    /// The source fails.
    pub(crate) fn stale(&self, error: Arc<str>) {
        self.change(SourceState::Stale, Some(error), None);
    }

    /// The source is at its end.
    pub(crate) fn ended(&self, error: Option<Arc<str>>) {
        self.change(SourceState::Ended, error, None);
    }

    /// So many of its entries are no good, and these are new among them.
    pub(crate) fn skipped(&self, count: usize, new: impl Iterator<Item = (Arc<str>, Arc<str>)>) {
        let at = now();
        let Some(source) = self.with(|status| {
            status.skipped = count;
            Arc::clone(&status.name)
        }) else {
            return;
        };
        for (entry, why) in new {
            let source = Arc::clone(&source);
            let what = Happened::Skipped { source, entry, why };
            self.sources.log.push(at, what);
        }
        self.sources.log.wake();
    }

    fn change(&self, state: SourceState, error: Option<Arc<str>>, members: Option<usize>) {
        let at = now();
        let news = self.with(|status| {
            let news = status.state != state || status.error != error;
            if status.state != state {
                (status.state, status.since) = (state, at);
            }
            if let Some(members) = members {
                (status.members, status.updated) = (members, Some(at));
            }
            status.error.clone_from(&error);
            news.then(|| Arc::clone(&status.name))
        });
        if let Some(Some(source)) = news {
            self.sources.log.push(
                at,
                Happened::Source {
                    source,
                    state,
                    error,
                },
            );
            self.sources.log.wake();
        }
    }

    fn with<R>(&self, change: impl FnOnce(&mut SourceStatus) -> R) -> Option<R> {
        let mut inner = self.sources.inner();
        let mut list = inner.list.iter_mut();
        let listed = list.find(|listed| listed.id == self.id)?;
        Some(change(&mut listed.status))
    }
}

impl fmt::Debug for Feeder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Feeder").finish_non_exhaustive()
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        let mut inner = self.sources.inner();
        let mut list = inner.list.iter();
        let at = list.position(|listed| listed.id == self.id);
        let gone = at.map(|at| inner.list.remove(at));
        drop(inner);
        drop(gone);
    }
}

impl SourceStatus {
    /// Returns what it is called. Of several of one name the second is `NAME #2`, and so on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns how it is.
    pub fn state(&self) -> SourceState {
        self.state
    }

    /// Returns since when it is like that, by the clock of
    /// [`BackendInfo::since`](crate::backend::BackendInfo::since): when it is stale, since when.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Returns when the pool took what it says last, if it ever did.
    pub fn updated(&self) -> Option<Instant> {
        self.updated
    }

    /// Returns what went wrong last, unless it is fresh.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// Returns how many of the pool's members are its own.
    pub fn members(&self) -> usize {
        self.members
    }

    /// Returns how many of the entries that it named last were no good.
    pub fn skipped(&self) -> usize {
        self.skipped
    }
}

impl SourceState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Fresh => "fresh",
            Self::Stale => "stale",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for SourceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for SourceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.state)?;
        if self.state != SourceState::Fresh {
            let since = now().saturating_duration_since(self.since);
            write!(f, " for {:.1} s", since.as_secs_f64())?;
        }
        let s = if self.members == 1 { "" } else { "s" };
        write!(f, ", {} backend{s}", self.members)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        match &self.error {
            Some(error) => write!(f, " ({error})"),
            None => Ok(()),
        }
    }
}
