mod known;
mod learnt;
mod recent;
mod score;
mod slot;
mod ticks;
mod trend;

use std::fmt;
use std::sync::Arc;

use self::known::Known;
use self::recent::Recent;
use self::score::score;
use self::slot::Slot;
use self::ticks::tick;
use super::by_backend::ByBackend;
use super::{Context, Needs, Picker, Update};
use crate::backend::{Event, Handle, Observation};
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
/// O(16), 144 bytes for each backend, and the recording of
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

impl Adaptive {
    /// Creates the picker.
    pub fn new() -> Self {
        Self {
            table: None,
            costs: None,
            known: Arc::new(Known::new()),
        }
    }
}

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
        candidates[0] = set.slot(least);
        for (place, random) in candidates[1..3].iter_mut().zip([mix(random), mix(!random)]) {
            *place = set.slot(below(random, n as u64) as usize);
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
        let left = self
            .table
            .iter()
            .flat_map(|before| before.without(Some(&table)));
        let left = left.map(|slot| slot.set_listed(false)).count();
        let joined = table.without(self.table.as_ref());
        let joined = joined.map(|slot| slot.set_listed(true)).count();
        if left + joined > 0 {
            let seen = table.iter().filter_map(Slot::seen);
            self.known.learnt.set_seen(seen.map(|seen| seen.others));
        }
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

    fn rule(&self) -> &'static str {
        "lowest expected cost by what is learnt of each, of the least loaded, two drawn at random, and those that looked good lately"
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
    let end = ranks().map(|rank| members.slot(rank) + 1).max();
    let mut costs = vec![1.0; end.unwrap_or(0)];
    for rank in ranks() {
        costs[members.slot(rank)] = mean / members.weight(rank) as f32;
    }
    Some(costs.into_boxed_slice())
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
