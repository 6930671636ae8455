use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::Ejection;
use super::outliers::Outliers;
use crate::backend::{Alarms, Handle, Value};
use crate::set::{Pool, Verdict, Watching, WeakPool};
use crate::time::now;

/// What a pool's traffic shows, as its requests leave word of it, and what follows.
pub(super) struct Traffic<T: Value> {
    pool: WeakPool<T>,
    alarms: Arc<Alarms>,
    watcher: u64,
    outliers: Outliers,
    /// There are other members than `outliers` knows.
    stale: bool,
    /// When it learnt of them last.
    looked: Option<Instant>,
    /// Not yet applied.
    verdicts: Vec<(Handle, Verdict)>,
    /// When there were some last.
    applied: Option<Instant>,
}

/// What was heard of a pool.
pub(super) enum Heard {
    Nothing,
    /// Its members are others.
    Changed,
    Dropped,
    /// Somebody else watches it now.
    Replaced,
}

/// So long after a change to a pool, what is found out is gathered into the next one.
const APART: Duration = Duration::from_millis(3);

/// So long after the members were looked through, further changes of them are gathered, too: a look
/// is a walk over all. (A newcomer that raises an alarm is known at once.)
const LOOKS_APART: Duration = Duration::from_millis(50);

impl<T: Value> Traffic<T> {
    pub(super) fn new(
        pool: &Pool<T>,
        ejection: &Ejection,
        probes: bool,
        gated: bool,
        random: fastrand::Rng,
    ) -> Self {
        let watcher = pool.watch(Watching {
            in_a_row: ejection.failures_in_a_row,
            gateway_in_a_row: ejection.gateway_failures_in_a_row,
            measured: ejection.latency.is_some(),
            gated,
            probes,
            max_ejected: ejection.max_ejected,
        });
        let mut outliers = Outliers::new(ejection.clone(), random);
        outliers.members(&pool.snapshot(), now());
        Self {
            pool: pool.downgrade(),
            alarms: Arc::clone(pool.alarms()),
            watcher,
            outliers,
            stale: false,
            looked: None,
            verdicts: Vec::new(),
            applied: None,
        }
    }

    pub(super) fn pool(&self) -> Option<Pool<T>> {
        self.pool.upgrade()
    }

    #[cfg(feature = "tower")]
    pub(super) fn knows(&self, handle: Handle) -> bool {
        self.outliers.knows(handle)
    }

    /// Adds what was found out in another way.
    #[cfg(feature = "tower")]
    pub(super) fn add(&mut self, handle: Handle, verdict: Verdict) {
        self.verdicts.push((handle, verdict));
    }

    /// Hears what there is, and wakes when there is more.
    pub(super) fn listen(&mut self, now: Instant, cx: &mut Context<'_>) -> Heard {
        let mut heard = Heard::Nothing;
        while let Poll::Ready(word) = self.alarms.poll(self.watcher, cx) {
            let Some(pool) = self.pool.upgrade() else {
                return Heard::Dropped;
            };
            if word.over {
                return Heard::Replaced;
            }
            self.stale |= word.changed;
            let unknown = |handle: &Handle| !self.outliers.knows(*handle);
            if self.may_look(now) || word.raised.iter().any(unknown) {
                self.look(&pool, now);
                heard = Heard::Changed;
            }
            for handle in word.raised {
                let verdicts = self.outliers.alarm(handle, now);
                self.verdicts.extend(verdicts);
            }
        }
        if self.may_look(now)
            && let Some(pool) = self.pool.upgrade()
        {
            self.look(&pool, now);
            heard = Heard::Changed;
        }
        heard
    }

    fn look(&mut self, pool: &Pool<T>, now: Instant) {
        self.outliers.members(&pool.snapshot(), now);
        (self.stale, self.looked) = (false, Some(now));
    }

    fn look_again(&self) -> Option<Instant> {
        let again = self.looked.map(|looked| looked + LOOKS_APART);
        again.filter(|_| self.stale)
    }

    fn may_look(&self, now: Instant) -> bool {
        self.stale && self.look_again().is_none_or(|again| again <= now)
    }

    /// Does what is due, and applies what was found out; returns when to come again.
    pub(super) fn advance(&mut self, now: Instant) -> Instant {
        let due = self.outliers.advance(now);
        self.verdicts.extend(due);
        let again = self.apply(now);
        let next = again.into_iter().chain(self.look_again());
        next.chain(self.outliers.next()).min().unwrap_or(now)
    }

    /// Applies what was found out, or returns when it may.
    fn apply(&mut self, now: Instant) -> Option<Instant> {
        if self.verdicts.is_empty() {
            return None;
        }
        let next = self.applied.map(|applied| applied + APART);
        if let Some(next) = next.filter(|&next| next > now) {
            return Some(next);
        }
        let verdicts = std::mem::take(&mut self.verdicts);
        if let Some(pool) = self.pool.upgrade() {
            let done = pool.judge(self.watcher, verdicts.clone());
            for ((handle, verdict), done) in verdicts.iter().zip(done) {
                self.outliers.done(*handle, verdict, done);
            }
            self.applied = Some(now);
        }
        None
    }
}

impl<T: Value> Drop for Traffic<T> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            // It runs code of others, and a panic here, perhaps during another, would abort.
            let _ = catch_unwind(AssertUnwindSafe(|| pool.unwatch(self.watcher)));
        }
    }
}

/// A watch over a pool's traffic that waits for nothing by itself, for programs without tokio; from
/// [`Ejection::watch`]. Elsewhere [`Health`](super) does this on a task.
///
/// Dropping it ends the watch, and what was known of the backends' health is forgotten.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::{Failure, Outcome, State};
/// use evenkeel::health::Ejection;
/// use evenkeel::{Backend, Pool};
/// use std::time::Instant;
///
/// let pool = Pool::from(["a", "b"].map(|id| Backend::new(id, ())));
/// let mut watch = Ejection::new().watch(&pool);
/// for _ in 0..5 {
///     let (_, completion) = pool.start(|_set| Some(0)).expect("a is eligible");
///     completion.finish(Outcome::Failure(Failure::Connect));
/// }
///
/// // In a loop or a thread of yours, every few milliseconds: `while let Some(next) = …`, and sleep
/// // until `next`, or for 5 ms if that is sooner.
/// watch.advance(Instant::now());
/// assert_eq!(pool.get("a").expect("a member").state(), State::Ejected);
/// ```
#[must_use = "dropping it ends the watch"]
pub struct EjectionWatch<T: Value>(Traffic<T>);

impl<T: Value> EjectionWatch<T> {
    /// Does what is to be done by now: ejects, offers trials, takes back. Returns when there will
    /// be more even if no request fails before; `None` when the pool is gone, or watched by
    /// another.
    ///
    /// Backends are ejected when this is called, so call it often. It takes some nanoseconds while
    /// there is nothing to do.
    pub fn advance(&mut self, now: Instant) -> Option<Instant> {
        match self.0.listen(now, &mut Context::from_waker(Waker::noop())) {
            Heard::Dropped | Heard::Replaced => None,
            Heard::Nothing | Heard::Changed => {
                self.0.pool()?;
                Some(self.0.advance(now))
            }
        }
    }
}

impl Ejection {
    /// Watches a pool by these rules, without tokio: see [`EjectionWatch`].
    pub fn watch<T: Value>(self, pool: &Pool<T>) -> EjectionWatch<T> {
        EjectionWatch(Traffic::new(
            pool,
            &self,
            false,
            false,
            fastrand::Rng::new(),
        ))
    }
}

impl<T: Value> fmt::Debug for EjectionWatch<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EjectionWatch").finish_non_exhaustive()
    }
}
