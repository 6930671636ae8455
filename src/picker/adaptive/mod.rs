mod learnt;
mod recent;
mod slot;
mod trend;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::learnt::{Learnt, Scale};
use self::recent::Recent;
use self::slot::{Seen, Slot};
use super::by_backend::{ByBackend, OfBackend};
use super::{Context, Needs, Picker, Update};
use crate::backend::{Event, Handle, Observation, Outcome};
use crate::load::LoadReport;
use crate::random::{below, mix};
use crate::set::BackendSet;

/// Picks the backend whose load is the least as far as anything is known of it: from this
/// program's own requests, from response times, from reports of load and from probes.
///
/// # When to use
///
/// Where other clients use the same backends, which nobody's own requests in flight tell of; where
/// backends differ in speed; and where you do not know. It needs no setting: with one client it
/// does what [`ExactLeastRequests`](super::ExactLeastRequests) does, with many what their reports
/// allow.
///
/// | what there is | what it goes by |
/// | --- | --- |
/// | nothing but responses | own requests in flight, and response times as far as they foretell the next ones |
/// | [reports](crate::load) of requests in flight on responses | own and others' requests in flight |
/// | ... of latency, too | ... and how slow a backend is beside the others |
/// | [probes](Context::probe) | the same, fresher: one for each request at most |
///
/// # Algorithm
///
/// Each backend has an estimate of the requests that are in flight there, and the least of
///
/// ```text
/// ((own + others) × mean weight / weight + 1) × slowness
/// others = usual + (last seen - usual) × fade(age)
/// usual  = mean of all backends + 0.6 × (moving average of this one - mean) × fade(age / 1000)
/// fade(x) = 1 / (1 + x + x²/2), of the age in halves of the mean time of a request
/// ```
///
/// is picked among those of the last 16 looks, the one with the fewest of our own requests for its
/// weight of all, and two at random. What a report says is that of the others alone: our own part in
/// it is known exactly, and changes as we send. That there are few candidates, different ones for
/// each client, is what keeps clients from running after the same backend. Whoever has not been
/// looked at for the time of 2,000 requests counts as idle, so that somebody looks.
///
/// Without reports, "last seen" is the last response time in units of the mean one of a request
/// that met none of ours; it counts as far as it has foretold response times before (the slope of a
/// regression, 0 to 1). With one client and backends that are alike that is next to nothing, and the
/// fewest requests in flight decide.
///
/// "Slowness" is the latency that a backend reports, in relation to that of all at the same load
/// (a power of the load, fitted as reports come), as far as it has shown in response times.
///
/// Backends that fail are left alone: their share of failures, a moving average over three requests
/// or so of which 0.4 is left 10 s after the last failure, raises the score up to 65-fold.
///
/// O(16), 136 bytes for each backend, and the recording of
/// [`Needs::OBSERVATIONS`] and [`Needs::LOAD_INDEX`]. Before it was
/// [prepared](Picker::prepare) for a set it goes by requests in flight alone.
///
/// # References
///
/// The split into own and others' requests, and candidates that were seen lately, are this
/// project's; see the guide for measurements. Related: Vargaftik et al., *LSQ: Load Balancing in
/// Large-Scale Heterogeneous Systems with Multiple Dispatchers*, 2020; Wydrowski et al., *Load is
/// not what you should balance: Introducing Prequal*, NSDI 2024.
///
/// # Examples
///
/// ```
/// use evenkeel::{Balance, Backend, Pool};
/// # use tower::service_fn;
/// # let service = service_fn(|_request: ()| async { Ok::<_, std::io::Error>(()) });
/// let balance = Balance::<_, ()>::adaptive(Pool::from([Backend::new("a", service)]));
/// # let _ = balance;
/// ```
#[must_use]
pub struct Adaptive {
    table: Option<ByBackend<Slot>>,
    /// How much a request counts at each slot, for its weight, if weights differ.
    costs: Option<Box<[f32]>>,
    known: Arc<Known>,
}

/// What all that were made from one share.
struct Known {
    recent: Recent,
    learnt: Learnt,
}

impl Adaptive {
    /// Creates the picker.
    pub fn new() -> Self {
        Self {
            table: None,
            costs: None,
            known: Arc::new(Known {
                recent: Recent::new(),
                learnt: Learnt::default(),
            }),
        }
    }
}

/// What a backend's own average weighs beside that of all.
const USUAL_OF_ITS_OWN: f32 = 0.6;
/// How much the latest look counts in what is usual, or slow, at a backend; and an outcome in its
/// share of failures.
const LATEST_USUAL: f32 = 0.2;
/// For how long it counts what is usual at a backend, and until when it is looked at again, in half
/// the time that a request takes.
const USUAL_LASTS: f32 = 1000.0;
const FORGOTTEN: f32 = 4.0 * USUAL_LASTS;
const LATEST_SLOWNESS: f32 = 0.3;
const LATEST_OUTCOME: f32 = 0.3;
/// For how much more a backend counts that only fails, and how long, in ticks, that stays in mind.
const FAILURES: f32 = 64.0;
const FAILURES_LAST: f32 = ticks(Duration::from_secs(10));

impl<Req: ?Sized> Picker<Req> for Adaptive {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        let n = set.len();
        let Some(table) = self.table.as_ref().filter(|_| n > 1) else {
            return set.least_in_flight(cx.random());
        };
        let random = cx.random();
        let least = set.least_in_flight(random)?;
        let now = tick(cx.moment().1);
        let Known { recent, learnt } = &*self.known;
        let scale = learnt.scale(now);
        if cx.can_probe() {
            ask_for_a_probe(set, scale.mean, mix(random.rotate_left(32)), cx);
        }
        // Nothing is known but our own requests.
        let nobody_else = scale.mean == 0.0 || scale.trust == 0.0;
        if nobody_else && scale.slowness == 0.0 && !learnt.any_failing(now) {
            return Some(least);
        }
        let mut candidates = [usize::MAX; Recent::LEN + 3];
        candidates[0] = set.handle(least).slot();
        for (place, random) in candidates[1..3].iter_mut().zip([mix(random), mix(!random)]) {
            *place = set.handle(below(random, n as u64) as usize).slot();
        }
        for (place, slot) in candidates[3..].iter_mut().zip(recent.slots()) {
            *place = slot;
        }
        // Looked up last: who was seen lately may be masked, or gone.
        loop {
            let mut best = (f32::INFINITY, 0);
            for (at, &candidate) in candidates.iter().enumerate() {
                if let Some(slot) = table.at(candidate) {
                    let score = score(slot, self.cost(candidate), &scale, now);
                    if score < best.0 {
                        best = (score, at);
                    }
                }
            }
            let (score, at) = best;
            if score == f32::INFINITY {
                return Some(least);
            }
            if let Some(rank) = set.rank_of(candidates[at]) {
                return Some(rank);
            }
            candidates[at] = usize::MAX;
        }
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        let members = update.members();
        let table = ByBackend::of(members, self.table.as_ref());
        // Of those that have left nothing counts any more.
        for slot in self.table.iter().flat_map(ByBackend::iter) {
            slot.set_listed(table.get(slot.backend()).is_some());
        }
        table.iter().for_each(|slot| slot.set_listed(true));
        let seen = table.iter().filter_map(Slot::seen);
        self.known.learnt.set_seen(seen.map(|seen| seen.others));
        Some(Arc::new(Self {
            table: Some(table),
            costs: costs(members),
            known: Arc::clone(&self.known),
        }))
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        let Some(slot) = self.table.as_ref().and_then(|table| table.get(backend)) else {
            return;
        };
        let now = tick(observation.nanos());
        let known = &*self.known;
        match observation.event() {
            Event::Dispatched => known.dispatched(slot, now),
            Event::Head { latency, outcome } => {
                known.answered(slot, backend, latency, outcome, now);
            }
            Event::Ended {
                duration,
                outcome,
                after_head,
            } => {
                known.ended(
                    slot,
                    backend,
                    (!after_head).then_some(duration),
                    outcome,
                    now,
                );
                slot.leave();
            }
            Event::Reported(report) => known.reported(slot, backend, &report, 1.0, now),
            Event::Probed(report) => known.reported(slot, backend, &report, 0.0, now),
        }
    }

    fn needs(&self) -> Needs {
        Needs::OBSERVATIONS | Needs::LOAD_INDEX
    }
}

impl Adaptive {
    #[inline]
    fn cost(&self, slot: usize) -> f32 {
        let costs = self.costs.as_deref();
        costs.map_or(1.0, |costs| costs.get(slot).copied().unwrap_or(1.0))
    }
}

/// For each slot the mean weight over its own. A weight of 0 makes it infinite: nobody picks that.
fn costs(members: &dyn BackendSet) -> Option<Box<[f32]>> {
    let ranks = || 0..members.len();
    let first = members.weight(0);
    if first > 0 && ranks().all(|rank| members.weight(rank) == first) {
        return None;
    }
    let mean = members.total_weight() as f32 / members.len().max(1) as f32;
    let end = ranks().map(|rank| members.handle(rank).slot() + 1).max();
    let mut costs = vec![1.0; end.unwrap_or(0)];
    for rank in ranks() {
        costs[members.handle(rank).slot()] = mean / members.weight(rank) as f32;
    }
    Some(costs.into_boxed_slice())
}

impl Known {
    fn dispatched(&self, slot: &Slot, now: u32) {
        let alone = slot.enter() == 0;
        let learnt = &self.learnt;
        let seen = if alone && learnt.wants_to_foretell(now) {
            slot.seen()
        } else {
            None
        };
        slot.foretell(seen.map(|_| others(slot, learnt.mean(), learnt.rate(), now)));
    }

    fn answered(
        &self,
        slot: &Slot,
        backend: Handle,
        latency: Duration,
        outcome: Outcome,
        now: u32,
    ) {
        if outcome != Outcome::Success {
            return;
        }
        let reports = self.learnt.is_reported(now);
        let foretold = slot.foretold();
        let known = foretold.is_none() && slot.seen().is_some();
        if !reports && known && !self.learnt.learns_from_each() {
            return;
        }
        let (own, time) = (slot.own().max(1), ticks(latency));
        if own == 1 {
            self.learnt.add_alone(time);
            if let Some(foretold) = foretold.filter(|_| !reports) {
                self.learnt.add_foretold(foretold, time);
            }
        }
        if !reports {
            self.see(slot, backend, time / self.learnt.alone() / own as f32, now);
        } else if let Some(seen) = slot.seen() {
            let in_flight = seen.others + own as f32 - 1.0;
            let learnt = &self.learnt;
            learnt.add_response(in_flight, time, slot.slowness_before());
        }
    }

    /// `unanswered` is for how long it was.
    fn ended(
        &self,
        slot: &Slot,
        backend: Handle,
        unanswered: Option<Duration>,
        outcome: Outcome,
        now: u32,
    ) {
        match outcome {
            Outcome::Success => {
                if let Some((share, at)) = slot.failing() {
                    slot.set_failing(share * (1.0 - LATEST_OUTCOME), at);
                }
            }
            Outcome::Failure(_) | Outcome::Rejected => {
                self.learnt.is_failing(now);
                let share = slot.failing().map_or(0.0, |(share, _)| share);
                slot.set_failing(share + LATEST_OUTCOME * (1.0 - share), now);
            }
            Outcome::Cancelled => {
                // The answer would have taken longer.
                let learnt = &self.learnt;
                let counts = learnt.knows_times() && !learnt.is_reported(now);
                if let Some(time) = unanswered.filter(|_| counts) {
                    let others = ticks(time) / self.learnt.alone() / slot.own().max(1) as f32;
                    if slot.seen().is_none_or(|seen| others > seen.others) {
                        self.see(slot, backend, others, now);
                    }
                }
            }
        }
    }

    /// `asking` is how much of what is in flight is over with this report.
    fn reported(&self, slot: &Slot, backend: Handle, report: &LoadReport, asking: f32, now: u32) {
        let Some(in_flight) = report.in_flight() else {
            return;
        };
        let in_flight = in_flight as f32;
        self.learnt.is_reporting(now);
        let others = in_flight - slot.own() as f32;
        self.see(slot, backend, others.max(0.0), now);
        if let Some(latency) = report.latency() {
            let in_flight = in_flight - asking;
            let beside_the_others = self.learnt.add_latency(in_flight, ticks(latency));
            let slowness = slot.slowness();
            slot.set_slowness(slowness + LATEST_SLOWNESS * (beside_the_others - slowness));
        }
    }

    /// Notes what was seen of the others' load.
    fn see(&self, slot: &Slot, backend: Handle, others: f32, now: u32) {
        // A number that is out of all proportion is as good as one that is just very large, and
        // sooner forgotten.
        const MOST: f32 = 64.0;
        let others = others.min(MOST * (self.learnt.mean() + 1.0));
        let before = slot.see(Seen { others, at: now });
        if slot.is_listed() {
            self.learnt
                .replace_seen(before.map(|seen| seen.others), others);
        }
        let usual = slot.usual().unwrap_or(0.0);
        // What is long ago counts for less.
        let kept = before.map_or(1.0, |seen| {
            fade(age(seen.at, now) * self.learnt.rate() / USUAL_LASTS)
        });
        let latest = 1.0 - (1.0 - LATEST_USUAL) * kept;
        slot.set_usual(usual + latest * (others - usual));
        self.recent.push(backend.slot());
    }
}

/// Asks for the load of a backend at random, if that is likely to tell something: hardly ever where
/// nobody else sends requests.
fn ask_for_a_probe(set: &dyn BackendSet, mean: f32, random: u64, cx: &mut Context) {
    const ALWAYS: f32 = 0.125;
    const SELDOM: f32 = 0.0625;
    let share = (mean / ALWAYS).clamp(SELDOM, 1.0);
    if (random as u32 as f32) < share * u32::MAX as f32 {
        let rank = below(random, set.len() as u64) as usize;
        cx.probe(set.handle(rank));
    }
}

/// What a request would meet there, in requests of mean weight.
#[inline]
fn score(slot: &Slot, cost: f32, scale: &Scale, now: u32) -> f32 {
    let others = scale.trust * others(slot, scale.mean, scale.rate, now);
    let slowness = 1.0 + scale.slowness * (slot.slowness() - 1.0);
    let requests = (slot.own() as f32 + others) * cost;
    let score = (requests + 1.0) * slowness.max(0.1);
    match slot.failing() {
        None => score,
        Some((share, at)) => score * punishment(share, age(at, now)),
    }
}

#[cold]
fn punishment(share: f32, age: f32) -> f32 {
    let share = share * fade(age / FAILURES_LAST);
    1.0 + FAILURES * share * share
}

/// The load that others put on it, as far as that is known: what was seen is half forgotten after
/// the time of a request, what is usual after that of hundreds. Whoever has not been looked at for
/// thousands counts as idle, so that somebody looks, and nobody is shunned for good.
#[inline]
fn others(slot: &Slot, mean: f32, rate: f32, now: u32) -> f32 {
    let usual = slot.usual().unwrap_or(mean);
    let Some(seen) = slot.seen() else {
        // Low enough to be looked at.
        return (1.0 - USUAL_OF_ITS_OWN) * mean;
    };
    let age = age(seen.at, now) * rate;
    if age > FORGOTTEN {
        return 0.0;
    }
    let usual = mean + USUAL_OF_ITS_OWN * (usual - mean) * fade(age / USUAL_LASTS);
    usual + (seen.others - usual) * fade(age)
}

/// About exp(-age), without the cost of it.
#[inline]
fn fade(age: f32) -> f32 {
    1.0 / (1.0 + age + 0.5 * age * age)
}

#[inline]
fn age(then: u32, now: u32) -> f32 {
    let age = now.wrapping_sub(then);
    // Another thread's clock can be a little ahead.
    if age > AHEAD { 0.0 } else { age as f32 }
}

/// Time in units of 2^13 ns, about 8 µs. They wrap around after ten hours: of what nobody has looked
/// at since, a little is then believed again, for a moment.
#[inline]
fn tick(nanos: u64) -> u32 {
    (nanos >> TICK) as u32
}

const TICK: u32 = 13;
/// What seems to be as old as that is of a few minutes hence.
const AHEAD: u32 = u32::MAX - (1 << 25);

const fn ticks(time: Duration) -> f32 {
    time.as_nanos() as f32 / (1 << TICK) as f32
}

impl Default for Adaptive {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Adaptive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adaptive").finish_non_exhaustive()
    }
}
