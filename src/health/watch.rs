use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::time::Sleep;

use super::checks::Checks;
use super::traffic::{Heard, Traffic};
use super::{Ejection, Ended};
use crate::backend::{Handle, Probed, Value};
use crate::set::{Pool, Verdict};
use crate::time::{later, now};

/// Watches the health of pools: a future that does nothing else, and ends with the last of them.
pub(super) struct Watch<T: Value> {
    pools: Vec<Traffic<T>>,
    checks: Option<Checks<T>>,
    /// A pool's members are others than `checks` knows.
    changed: bool,
    activity: Activity,
    sleep: Option<Pin<Box<Sleep>>>,
    end: Ended,
}

impl<T: Value> Watch<T> {
    pub(super) fn new(
        pools: &[&Pool<T>],
        ejection: &Ejection,
        checks: Option<Checks<T>>,
        random: &mut fastrand::Rng,
    ) -> Self {
        let gated = checks.as_ref().is_some_and(Checks::gated);
        let traffic =
            |pool: &&Pool<T>| Traffic::new(pool, ejection, checks.is_some(), gated, random.fork());
        Self {
            pools: pools.iter().map(traffic).collect(),
            checks,
            changed: true,
            activity: Activity::default(),
            sleep: None,
            end: Ended::PoolDropped,
        }
    }

    /// Hears what the pools have to say, and does what is due; returns when to look again.
    fn turn(&mut self, cx: &mut Context<'_>) -> Option<Instant> {
        let now = now();
        self.pools
            .retain_mut(|traffic| match traffic.listen(now, cx) {
                Heard::Nothing => true,
                Heard::Changed => {
                    self.changed = true;
                    true
                }
                Heard::Dropped => {
                    (self.changed, self.end) = (true, Ended::PoolDropped);
                    false
                }
                Heard::Replaced => {
                    (self.changed, self.end) = (true, Ended::Replaced);
                    false
                }
            });
        self.probe(cx);
        let pools = self.pools.iter_mut().map(|traffic| traffic.advance(now));
        let next = self.checks.as_ref().and_then(Checks::next);
        pools.chain(next).min()
    }

    fn probe(&mut self, cx: &mut Context<'_>) {
        let Some(checks) = &mut self.checks else {
            return;
        };
        if std::mem::take(&mut self.changed) {
            checks.members(members(&self.pools), now());
            // Whoever joins a pool may be known from another.
            for traffic in &mut self.pools {
                let Some(pool) = traffic.pool() else {
                    continue;
                };
                for member in pool.snapshot().all() {
                    if let Probed::Unknown | Probed::Gated | Probed::Founding =
                        member.condition.probed
                        && let Some((probed, why)) = checks.found(member.live.id())
                    {
                        traffic.add(member.live.handle(), Verdict::Probed(probed, why));
                    }
                }
            }
        }
        let busy = match checks.looks_at_traffic() {
            None => true,
            Some(interval) => self.activity.is_there(&self.pools, interval, now()),
        };
        while let Poll::Ready(finding) = checks.poll(busy, now(), cx) {
            for traffic in &mut self.pools {
                let pool = traffic.pool();
                // Who has joined under this id meanwhile is somebody else.
                let handle = pool.and_then(|pool| pool.handle(&finding.id));
                if let Some(handle) = handle.filter(|&handle| traffic.knows(handle)) {
                    let verdict = Verdict::Probed(finding.probed, finding.why.clone());
                    traffic.add(handle, verdict);
                }
            }
        }
    }
}

/// Whether requests come and go, as of the last look. A look is a walk over all backends, so there
/// is one in an interval only.
#[derive(Default)]
struct Activity {
    looked: Option<Instant>,
    ended: u64,
    seen: bool,
}

impl Activity {
    fn is_there<T: Value>(
        &mut self,
        pools: &[Traffic<T>],
        interval: Duration,
        now: Instant,
    ) -> bool {
        if self
            .looked
            .is_some_and(|looked| now < later(looked, interval))
        {
            return self.seen;
        }
        let (mut ended, mut running) = (0, 0);
        for pool in pools.iter().filter_map(Traffic::pool) {
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
fn members<T: Value>(pools: &[Traffic<T>]) -> HashMap<Arc<str>, (T, Handle, Probed)> {
    let mut members = HashMap::new();
    for pool in pools.iter().filter_map(Traffic::pool) {
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
