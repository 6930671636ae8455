use std::collections::HashMap;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;
use tower::BoxError;

use super::follow::Follow;
use super::growth::Growth;
use super::pending::{Pending, Said};
use super::source::{Source, Updates};
use super::view::{Deed, Empty, View};
use crate::backend::Backend;
use crate::causes::causes;
use crate::set::{Feeder, Pool, WeakPool};
use crate::time::{later, now};

/// Why a source's feeding ended. The pool keeps the members that it had then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// The source has no more to say.
    #[error("the source ended")]
    Source,
    /// The source failed, and cannot be opened again.
    #[error("the source failed")]
    Failed(#[source] BoxError),
    /// Nobody has the pool any more.
    #[error("the pool was dropped")]
    PoolDropped,
}

/// So many updates are read at once, before others have their turn.
const AT_ONCE: usize = 1024;

/// So many new entries that are no good become events at once; the rest is only counted.
const TOLD: usize = 100;

/// So many of them are kept in mind, so that a source of nothing else does not fill the memory.
const REMEMBERED: usize = 100_000;

/// A source that feeds a pool, under way.
pub(super) struct Driver<S: Source, T, M> {
    follow: Follow<S>,
    pool: WeakPool<T>,
    make: M,
    feeder: Arc<Feeder>,
    view: View<S::Value>,
    growth: Option<Growth>,
    pending: Pending<S::Value>,
    /// When the pool was changed last.
    applied: Option<Instant>,
    /// So many streams in a row have ended soon.
    failures: u32,
    /// The stream that is open has said something.
    heard: bool,
    /// The ids that the pool has of those that are adjusted, where they are others than the
    /// source's.
    renamed: HashMap<Arc<str>, Arc<str>>,
    /// What is wrong with the entries that are left out at the moment.
    skipped: HashMap<Arc<str>, Arc<str>>,
}

enum Step {
    /// It is time to change the pool.
    Apply,
    /// It is time to look at its load.
    Look,
    /// The stream is over.
    Over(Option<BoxError>),
    PoolDropped,
}

impl<S, T, M> Driver<S, T, M>
where
    S: Source,
    S::Value: Clone,
    T: Clone,
    M: FnMut(&S::Value) -> T,
{
    pub(super) fn new(
        mut follow: Follow<S>,
        pool: &Pool<T>,
        make: M,
        same: fn(&S::Value, &S::Value) -> bool,
    ) -> Self {
        let growth = follow.subset.as_ref().and_then(|subset| {
            let most = subset.most()?;
            Some(Growth::new(subset.size()..=most))
        });
        Self {
            growth,
            pool: pool.downgrade(),
            make,
            feeder: Arc::new(pool.feeder(&follow.source.name())),
            view: View::new(follow.subset.take(), follow.allow_empty, same),
            pending: Pending::new(),
            applied: None,
            failures: 0,
            heard: false,
            renamed: HashMap::new(),
            skipped: HashMap::new(),
            follow,
        }
    }

    pub(super) async fn run(mut self) -> Ended {
        let mut error = None;
        while let Some(mut updates) = self.follow.source.watch() {
            let opened = now();
            self.heard = false;
            error = loop {
                match self.step(&mut updates).await {
                    Step::Apply => {
                        if self.apply().is_none() {
                            return Ended::PoolDropped;
                        }
                        // A source that always has more must not keep others from the thread.
                        tokio::task::yield_now().await;
                    }
                    Step::Look => {
                        if self.look().is_none() {
                            return Ended::PoolDropped;
                        }
                    }
                    Step::Over(error) => break error,
                    Step::PoolDropped => return Ended::PoolDropped,
                }
            };
            drop(updates);
            // What it has said until then is good.
            if !self.pending.is_empty() && self.apply().is_none() {
                return Ended::PoolDropped;
            }
            // One that says something and fails at once, again and again, does not begin anew.
            let lived = now().saturating_duration_since(opened);
            if self.heard && lived > self.follow.backoff.longest() {
                self.failures = 0;
            }
            self.failures = self.failures.saturating_add(1);
            match &error {
                Some(error) => self.feeder.stale(text(error)),
                // That a stream ends now and then is how some sources are.
                None if !self.heard => self.feeder.stale("the stream ended".into()),
                None => {}
            }
            if self.pause().await.is_none() {
                return Ended::PoolDropped;
            }
        }
        self.feeder.ended(error.as_ref().map(text));
        error.map_or(Ended::Source, Ended::Failed)
    }

    /// Reads updates until there is something to do.
    async fn step(&mut self, updates: &mut Updates<S::Value>) -> Step {
        let mut timer: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            if self.feeder.poll_closed(cx.waker()).is_ready() {
                return Poll::Ready(Step::PoolDropped);
            }
            let growth = self.growth.as_mut();
            if growth.is_some_and(|growth| growth.poll(cx).is_ready()) {
                return Poll::Ready(Step::Look);
            }
            let over = self.read(updates, cx);
            if over.is_ready() || self.pending.is_empty() {
                return over.map(Step::Over);
            }
            let due = self
                .applied
                .map(|applied| later(applied, self.follow.merge_within));
            let Some(due) = due.filter(|&due| due > now()) else {
                return Poll::Ready(Step::Apply);
            };
            let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due.into())));
            timer.as_mut().poll(cx).map(|()| Step::Apply)
        })
        .await
    }

    /// Reads what there is. Ready when the stream is over.
    fn read(
        &mut self,
        updates: &mut Updates<S::Value>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<BoxError>> {
        for _ in 0..AT_ONCE {
            match updates.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(update))) => {
                    self.heard = true;
                    self.pending.add(update);
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(error)),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Changes the pool, if anybody has it still.
    fn apply(&mut self) -> Option<()> {
        let pool = self.pool.upgrade()?;
        let merged = self.pending.take();
        let (whole, said) = (merged.whole, merged.said);
        let said = self.adjust(whole, said);
        let no_good: Vec<Arc<str>> = merged
            .skipped
            .keys()
            .map(|entry| self.name_of(entry))
            .collect();
        self.tell_of_skipped(whole, &said, merged.skipped);
        match self.view.take(whole, said, no_good.into_iter()) {
            Ok(deeds) => {
                self.change(&pool, deeds);
                if whole {
                    self.put_back(&pool);
                }
                self.feeder.fresh(self.view.len());
            }
            Err(Empty) => self.feeder.stale("an empty set, which is not taken".into()),
        }
        self.applied = Some(now());
        Some(())
    }

    /// Lets the user change what is said, ids included: from here on they are those of the pool.
    fn adjust(&mut self, whole: bool, said: Vec<Said<S::Value>>) -> Vec<Said<S::Value>> {
        if whole {
            self.renamed.clear();
        }
        let mut adjusted = Vec::with_capacity(said.len());
        for (id, backend) in said {
            let before = self.renamed.remove(&id);
            let Some(backend) = backend.map(&mut self.follow.adjust) else {
                adjusted.push((before.unwrap_or(id), None));
                continue;
            };
            let name = Arc::clone(&backend.id);
            if let Some(before) = before.filter(|before| *before != name) {
                adjusted.push((before, None));
            }
            if name != id {
                self.renamed.insert(id, Arc::clone(&name));
            }
            adjusted.push((name, Some(backend)));
        }
        adjusted
    }

    /// What the pool calls an entry of the source.
    fn name_of(&self, entry: &Arc<str>) -> Arc<str> {
        Arc::clone(self.renamed.get(entry).unwrap_or(entry))
    }

    /// Those that somebody has taken out by hand come back with the next whole set.
    fn put_back(&mut self, pool: &Pool<T>) {
        let mut gone = pool.missing(self.view.fed().map(Backend::id));
        if gone.is_empty() {
            return;
        }
        let make = &mut self.make;
        pool.edit(|edit| {
            for backend in self.view.fed() {
                if gone.remove(backend.id()) {
                    let value = make(&backend.value);
                    edit.insert(backend.clone().with_value(value));
                }
            }
        });
    }

    /// Lets a subset grow or shrink with the load, if anybody has the pool still.
    fn look(&mut self) -> Option<()> {
        let pool = self.pool.upgrade()?;
        let loads = pool.snapshot();
        let in_flight = loads.all().map(|member| member.live.in_flight()).sum();
        if let Some(size) = self.growth.as_mut()?.look(in_flight) {
            let deeds = self.view.resize(size);
            self.change(&pool, deeds);
            self.feeder.has(self.view.len());
        }
        Some(())
    }

    fn change(&mut self, pool: &Pool<T>, deeds: Vec<Deed<S::Value>>) {
        let make = &mut self.make;
        if deeds.is_empty() {
            return;
        }
        pool.edit(|edit| {
            for deed in deeds {
                match deed {
                    Deed::Remove(id) => edit.remove(&id),
                    // Somebody may have removed it by hand.
                    Deed::Put {
                        backend,
                        other_value: false,
                    } if pool.contains(backend.id()) => edit.resettle(backend),
                    Deed::Put { backend, .. } => {
                        let value = make(&backend.value);
                        edit.insert(backend.with_value(value));
                    }
                }
            }
        });
    }

    /// What was told before is not told again.
    fn tell_of_skipped(
        &mut self,
        whole: bool,
        said: &[Said<S::Value>],
        skipped: HashMap<Arc<str>, Arc<str>>,
    ) {
        if skipped.is_empty() && self.skipped.is_empty() {
            return;
        }
        let is_new = |(entry, why): &(&Arc<str>, &Arc<str>)| self.skipped.get(*entry) != Some(*why);
        let new = skipped.iter().filter(is_new).take(TOLD);
        let mut new: Vec<(Arc<str>, Arc<str>)> = new
            .map(|(entry, why)| (Arc::clone(entry), Arc::clone(why)))
            .collect();
        new.sort_unstable();
        if whole {
            self.skipped = skipped;
        } else {
            for (id, _) in said {
                self.skipped.remove(id);
            }
            self.skipped.extend(skipped);
        }
        let count = self.skipped.len();
        // A source of nothing else does not fill the memory: some are told again then.
        if count > REMEMBERED {
            self.skipped.clear();
        }
        self.feeder.skipped(count, new.into_iter());
    }

    /// Waits before the next stream, unless the pool is dropped.
    async fn pause(&mut self) -> Option<()> {
        let delay = self.follow.backoff.delay(self.failures);
        let mut sleep = Box::pin(tokio::time::sleep(delay.max(Duration::from_millis(1))));
        loop {
            let step = poll_fn(|cx| {
                if self.feeder.poll_closed(cx.waker()).is_ready() {
                    return Poll::Ready(Some(Step::PoolDropped));
                }
                let growth = self.growth.as_mut();
                if growth.is_some_and(|growth| growth.poll(cx).is_ready()) {
                    return Poll::Ready(Some(Step::Look));
                }
                sleep.as_mut().poll(cx).map(|()| None)
            });
            match step.await {
                None => return Some(()),
                Some(Step::Look) => self.look()?,
                Some(_) => return None,
            }
        }
    }

    /// The source's place in the pool's status, for whoever keeps it there when this has ended.
    pub(super) fn feeder(&self) -> Arc<Feeder> {
        Arc::clone(&self.feeder)
    }
}

impl<S: Source, T, M> Drop for Driver<S, T, M> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.feeder.ended(Some("it panicked".into()));
        }
    }
}

/// An error with its causes. Some errors print theirs themselves.
fn text(error: &BoxError) -> Arc<str> {
    let error: &(dyn Error + 'static) = &**error;
    let mut text = String::new();
    for cause in causes(error).map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text.into()
}
