//! C3: response times, and the cube of the queue.

mod stats;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::stats::Stats;
use super::by_backend::ByBackend;
use super::sample::Sampler;
use super::{Context, Needs, Picker, Update};
use crate::InvalidSetting;
use crate::backend::{Event, Handle, Observation};
use crate::random::below;
use crate::set::BackendSet;

/// Picks the backend of the lowest score of C3: response time, and the cube of the queue.
///
/// # When to use
///
/// When many clients share backends that report their load on responses: then it knows of the
/// others' requests without probes. It looks at every backend for each pick, unless told
/// [otherwise](Self::with_choices), so it is for tens of them rather than thousands.
///
/// Without reports it goes by response times and its own requests in flight, as
/// [`LeastResponseTime`](super::LeastResponseTime) does.
///
/// # Algorithm
///
/// Of each backend three moving averages are kept, in which a new sample counts 0.9 and all before
/// it 0.1: the response time R, the queue that the backend reports, and its service time 1/µ.
///
/// ```text
/// q     = 1 + in flight × clients + queue
/// score = R − 1/µ + q³ / µ
/// ```
///
/// *In flight* are this client's requests, *clients* is how many clients there are, see
/// [`clients`](Self::clients). The lowest score is picked; those that tie are chosen between at
/// random, by weight. Where weights differ, the score is divided by the weight.
///
/// *Response time* is the time to the response head, or to the end if there was no head. A failed or
/// rejected request counts as 1 s at least, and neither it nor a cancelled one as less than the
/// average, so that failing fast does not look fast.
///
/// *Queue and service time* are the [requests in flight](crate::load::LoadReport::in_flight) and the
/// [service time](crate::load::LoadReport::service_time) of reports; the request that a report comes
/// with is not counted. Answers to probes count alike. Where there were none, the queue is 0, and the
/// service time is the response time.
///
/// *Never measured*, or, if you say so, not for [a while](Self::forget_after): such a backend is tried with one request
/// at a time, until there is an answer. The paper has read repairs instead, which reach all replicas
/// now and then. By default nobody is forgotten, so a backend whose last answer was slow is tried again
/// only when the others look worse.
///
/// The paper's rate control is not part of this: a [limit](crate::backend::Backend::max_in_flight) bounds what
/// a backend is given.
///
/// O(n), or O(choices); 64 bytes for each member. It learns only once it was
/// [prepared](Picker::prepare); before, it goes by requests in flight alone.
///
/// # References
///
/// Lalith Suresh, Marco Canini, Stefan Schmid, Anja Feldmann, *C3: Cutting Tail Latency in Cloud Data
/// Stores via Adaptive Replica Selection*, NSDI 2015.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::C3;
///
/// // One of twenty clients, of many backends.
/// let picker = C3::with_choices(5)?.clients(20)?;
/// # let _ = picker;
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[must_use]
pub struct C3 {
    clients: u32,
    /// In nanoseconds.
    forget_after: u64,
    /// Draws those that are compared, if not all are.
    sampler: Option<Sampler>,
    /// Shared with those that were prepared from this one.
    stats: Option<ByBackend<Stats>>,
}

/// The response time of a backend that was never measured and has requests outstanding: more than
/// any that was.
const UNKNOWN: f64 = 1e15;

impl C3 {
    /// Compares all backends.
    pub fn new() -> Self {
        Self {
            clients: 1,
            forget_after: u64::MAX,
            sampler: None,
            stats: None,
        }
    }

    /// Compares `choices` backends, drawn by weight.
    ///
    /// # Errors
    ///
    /// When it is not from 2 to 32.
    pub fn with_choices(choices: usize) -> Result<Self, InvalidSetting> {
        Ok(Self {
            sampler: Some(Sampler::with_choices(choices)?),
            ..Self::new()
        })
    }

    /// Sets how many clients send requests to these backends, this one included: so many times its
    /// own requests in flight are expected there. Default 1.
    ///
    /// # Errors
    ///
    /// When it is 0.
    pub fn clients(mut self, clients: u32) -> Result<Self, InvalidSetting> {
        if clients == 0 {
            return Err(InvalidSetting::new(
                "number of clients",
                clients,
                "at least 1",
            ));
        }
        self.clients = clients;
        Ok(self)
    }

    /// Sets for how long a backend may go without a response until it counts as never measured.
    /// Default: never, as in the paper.
    ///
    /// # Errors
    ///
    /// When it is zero.
    pub fn forget_after(mut self, time: Duration) -> Result<Self, InvalidSetting> {
        if time.is_zero() {
            let given = format!("{time:?}");
            return Err(InvalidSetting::new("time to forget", given, "more than 0"));
        }
        self.forget_after = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Ok(self)
    }

    fn stats_of(&self, backend: Handle) -> Option<&Stats> {
        self.stats.as_ref()?.get(backend)
    }

    fn score(&self, set: &dyn BackendSet, rank: usize, now: u64) -> f64 {
        let in_flight = set.in_flight(rank) as f64;
        let stats = self.stats_of(set.handle(rank));
        let stats = stats.filter(|stats| now.saturating_sub(stats.at()) <= self.forget_after);
        let response = stats.and_then(|stats| stats.response.get());
        let (Some(stats), Some(response)) = (stats, response) else {
            return UNKNOWN * in_flight;
        };
        // At least so much that the queue counts.
        let service = stats.service.get().unwrap_or(response).max(1.0);
        let queue = stats.queue.get().unwrap_or(0.0);
        let q = 1.0 + in_flight * f64::from(self.clients) + queue;
        // As one product: a service time beyond all measure must not hide the rest.
        response + (q * q * q - 1.0) * service
    }

    fn is_better(&self, set: &dyn BackendSet, a: usize, b: usize, now: u64) -> bool {
        let (first, second) = (self.score(set, a, now), self.score(set, b, now));
        first * f64::from(set.weight(b)) < second * f64::from(set.weight(a))
    }

    fn best_of_all(&self, set: &dyn BackendSet, now: u64, cx: &mut Context) -> Option<usize> {
        let mut best = None;
        let mut least = f64::INFINITY;
        let mut tied = 0u64;
        for rank in 0..set.len() {
            let weight = set.weight(rank);
            if weight == 0 {
                continue;
            }
            let score = self.score(set, rank, now) / f64::from(weight);
            if best.is_none() || score < least {
                (best, least, tied) = (Some(rank), score, u64::from(weight));
            } else if score <= least {
                // So that each of those that tie has a chance by its weight.
                tied += u64::from(weight);
                if below(cx.random(), tied) < u64::from(weight) {
                    best = Some(rank);
                }
            }
        }
        best
    }
}

impl<Req: ?Sized> Picker<Req> for C3 {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        let now = cx.moment().1;
        match &self.sampler {
            None => self.best_of_all(set, now, cx),
            Some(sampler) => sampler.best_of(set, cx, |a, b, _| self.is_better(set, a, b, now)),
        }
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        let sampler = self.sampler.as_ref();
        Some(Arc::new(Self {
            clients: self.clients,
            forget_after: self.forget_after,
            sampler: sampler.map(|sampler| sampler.prepare(update.eligible())),
            stats: Some(ByBackend::of(update.members(), self.stats.as_ref())),
        }))
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        let Some(stats) = self.stats_of(backend) else {
            return;
        };
        match observation.event() {
            Event::Head { latency, outcome } => stats.respond(latency, outcome, observation),
            Event::Ended {
                duration,
                outcome,
                after_head: false,
            } => stats.respond(duration, outcome, observation),
            Event::Reported(report) => {
                // All but the request that it comes with.
                let queue = report
                    .in_flight()
                    .map(|in_flight| in_flight.saturating_sub(1));
                stats.learn(queue, report.service_time());
            }
            Event::Probed(report) => stats.learn(report.in_flight(), report.service_time()),
            Event::Dispatched | Event::Ended { .. } => {}
        }
    }

    fn needs(&self) -> Needs {
        Needs::OBSERVATIONS
    }

    fn rule(&self) -> &'static str {
        "best C3 score (response times, reported queues and times, own requests)"
    }
}

impl Default for C3 {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for C3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("C3")
            .field("clients", &self.clients)
            .field("sampler", &self.sampler)
            .finish_non_exhaustive()
    }
}
