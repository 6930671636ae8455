use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::checks::Checks;
use super::outliers::Outliers;
use super::{Ejection, Ended};
use crate::backend::{Alarms, Handle, Probed, Value};
use crate::set::{Pool, Verdict, Watching, WeakPool};
use crate::time::now;

/// Watches the health of pools: a future that does nothing else, and ends with the last of them.
pub(super) struct Watch<T: Value> {
    pools: Vec<Watched<T>>,
    checks: Option<Checks<T>>,
    /// A pool's members are others than `checks` knows.
    changed: bool,
    traffic: Traffic,
    sleep: Option<Pin<Box<Sleep>>>,
    end: Ended,
}

/// One of the pools.
struct Watched<T: Value> {
    pool: WeakPool<T>,
    alarms: Arc<Alarms>,
    watcher: u64,
    outliers: Outliers,
    /// Not yet applied.
    verdicts: Vec<(Handle, Verdict)>,
    /// When there were some last.
    applied: Option<Instant>,
}

/// So long after a change to a pool, what is found out is gathered into the next one.
const APART: Duration = Duration::from_millis(5);

impl<T: Value> Watch<T> {
    pub(super) fn new(
        pools: &[&Pool<T>],
        ejection: &Ejection,
        checks: Option<Checks<T>>,
        gated: bool,
        random: &mut fastrand::Rng,
    ) -> Self {
        let watching = Watching {
            in_a_row: ejection.failures_in_a_row,
            gateway_in_a_row: ejection.gateway_failures_in_a_row,
            measured: ejection.latency.is_some(),
            gated: gated && checks.is_some(),
            probes: checks.is_some(),
            max_ejected: ejection.max_ejected,
        };
        let pools = pools.iter().map(|pool| {
            let outliers = Outliers::new(ejection.clone(), now(), random.fork());
            let mut watched = Watched {
                pool: pool.downgrade(),
                alarms: Arc::clone(pool.alarms()),
                watcher: pool.watch(watching),
                outliers,
                verdicts: Vec::new(),
                applied: None,
            };
            watched.outliers.members(&pool.snapshot(), now());
            watched
        });
        Self {
            pools: pools.collect(),
            checks,
            changed: true,
            traffic: Traffic::default(),
            sleep: None,
            end: Ended::PoolDropped,
        }
    }

    /// Hears what the pools have to say, and does what is due; returns when to look again.
    fn turn(&mut self, cx: &mut Context<'_>) -> Option<Instant> {
        let mut next: Option<Instant> = None;
        let mut sooner = |at: Instant| next = Some(next.map_or(at, |next| next.min(at)));
        self.pools
            .retain_mut(|watched| watched.listen(cx, &mut self.changed, &mut self.end));
        self.probe(cx);
        if let Some(at) = self.checks.as_ref().and_then(Checks::next) {
            sooner(at);
        }
        for watched in &mut self.pools {
            let now = now();
            let due = watched.outliers.advance(now);
            watched.verdicts.extend(due);
            if let Some(at) = watched.apply(now) {
                sooner(at);
            }
            sooner(watched.outliers.next());
        }
        next
    }

    fn probe(&mut self, cx: &mut Context<'_>) {
        let Some(checks) = &mut self.checks else {
            return;
        };
        if std::mem::take(&mut self.changed) {
            checks.members(members(&self.pools), now());
            // Whoever joins a pool may be known from another.
            for watched in &mut self.pools {
                let Some(pool) = watched.pool.upgrade() else {
                    continue;
                };
                for member in pool.snapshot().all() {
                    if let Probed::Unknown | Probed::Gated = member.condition.probed
                        && let Some((probed, why)) = checks.known(member.live.id())
                    {
                        let verdict = Verdict::Probed(probed, why);
                        watched.verdicts.push((member.live.handle(), verdict));
                    }
                }
            }
        }
        let busy = match checks.looks_at_traffic() {
            None => true,
            Some(interval) => self.traffic.is_there(&self.pools, interval, now()),
        };
        while let Poll::Ready(finding) = checks.poll(busy, now(), cx) {
            for watched in &mut self.pools {
                let Some(pool) = watched.pool.upgrade() else {
                    continue;
                };
                let Some(handle) = pool.handle(&finding.id) else {
                    continue;
                };
                let verdict = Verdict::Probed(finding.probed, finding.why.clone());
                watched.verdicts.push((handle, verdict));
            }
        }
    }
}

impl<T: Value> Watched<T> {
    /// Returns false when it is over.
    fn listen(&mut self, cx: &mut Context<'_>, changed: &mut bool, end: &mut Ended) -> bool {
        while let Poll::Ready(word) = self.alarms.poll(self.watcher, cx) {
            let Some(pool) = self.pool.upgrade() else {
                (*changed, *end) = (true, Ended::PoolDropped);
                return false;
            };
            if word.over {
                (*changed, *end) = (true, Ended::Replaced);
                return false;
            }
            if word.changed {
                *changed = true;
                self.outliers.members(&pool.snapshot(), now());
            }
            for handle in word.raised {
                let verdicts = self.outliers.alarm(handle, now());
                self.verdicts.extend(verdicts);
            }
        }
        true
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
            let done = pool.judge(verdicts.clone());
            for ((handle, verdict), done) in verdicts.iter().zip(done) {
                self.outliers.done(*handle, verdict, done);
            }
            self.applied = Some(now);
        }
        None
    }
}

/// Whether there is any, as of the last look. A look is a walk over all backends, so there is one in
/// an interval only.
#[derive(Default)]
struct Traffic {
    looked: Option<Instant>,
    ended: u64,
    seen: bool,
}

impl Traffic {
    fn is_there<T: Value>(
        &mut self,
        pools: &[Watched<T>],
        interval: Duration,
        now: Instant,
    ) -> bool {
        if self.looked.is_some_and(|looked| now < looked + interval) {
            return self.seen;
        }
        let (mut ended, mut running) = (0, 0);
        for pool in pools.iter().filter_map(|watched| watched.pool.upgrade()) {
            for member in pool.snapshot().all() {
                running += member.live.in_flight();
                ended += member
                    .live
                    .record()
                    .map_or(0, |record| record.counts().total());
            }
        }
        self.seen = running > 0 || self.looked.is_none() || ended != self.ended;
        (self.looked, self.ended) = (Some(now), ended);
        self.seen
    }
}

/// All backends of the pools by id, with what is known of them from probes.
fn members<T: Value>(pools: &[Watched<T>]) -> HashMap<Arc<str>, (T, Handle, Probed)> {
    let mut members = HashMap::new();
    for pool in pools.iter().filter_map(|watched| watched.pool.upgrade()) {
        for member in pool.snapshot().all() {
            let handle = member.live.handle();
            let known = (member.value.clone(), handle, member.condition.probed);
            let id = Arc::clone(member.live.shared_id());
            members.entry(id).or_insert(known);
        }
    }
    members
}

/// Nothing in it is pinned where it is.
impl<T: Value> Unpin for Watch<T> {}

impl<T: Value> Future for Watch<T> {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        loop {
            let next = this.turn(cx);
            if this.pools.is_empty() {
                return Poll::Ready(this.end);
            }
            let Some(next) = next else {
                return Poll::Pending;
            };
            let next = tokio::time::Instant::from_std(next);
            let sleep = this
                .sleep
                .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(next)));
            if sleep.deadline() != next {
                sleep.as_mut().reset(next);
            }
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<T: Value> Drop for Watched<T> {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.unwatch(self.watcher);
        }
    }
}
