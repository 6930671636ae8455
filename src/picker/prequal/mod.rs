//! Prequal: probes that run ahead of the requests, and the hot-cold rule.

mod answer;
mod hot;
#[cfg(all(test, evenkeel_loom))]
mod loom_tests;
mod pool;
mod settings;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use self::answer::Answer;
use self::hot::Hot;
use self::pool::{Answers, Seen, Survey};
use self::settings::Settings;
use super::sample::Sampler;
use super::{Context, Needs, Picker, Update};
use crate::backend::{Event, Handle, Observation};
use crate::load::LoadReport;
use crate::set::BackendSet;

/// Picks by what a few backends have just said of their load, when they were probed.
///
/// # When to use
///
/// When this program is one of many clients of the same backends, so that its own requests in
/// flight say little of their load, and the backends answer probes with their requests in flight
/// (RIF) and a latency. It keeps the tail of the latency short where
/// backends differ in speed or share their machines with others.
///
/// One client alone does better with [`LeastRequests`](super::LeastRequests), without probes.
///
/// # Who probes
///
/// The picker only [names](Context::probe) whom to probe. A balance sends the probes that
/// [`load_probes`](crate::Balance::load_probes) is told how to send; a
/// [`Selector`](super::Selector)'s user sends them, see
/// [`select_with`](super::Selector::select_with). Where nobody does, and no answers come, each pick
/// is random.
///
/// # Algorithm
///
/// For each pick, so for each attempt at a request:
///
/// 1. *Probe* 3 different backends, drawn at random. Their answers come later, for later picks.
/// 2. *Choose* among the pool's answers. There are 16 at most, one for each backend, none older than
///    1 s: a newer one replaces the older of its backend, or else the oldest. A backend is *hot* if
///    its RIF is above the 0.84 quantile of the RIFs in the last 128 answers. If any is cold, the
///    cold one of the lowest latency is picked; else the one of the lowest RIF. If they tie, the
///    other of the two numbers decides. With fewer than 2 answers of backends that can be picked,
///    any backend is picked at random.
/// 3. *Count*: the RIF of the answer grows by 1, and once it was used `b_reuse` times it is dropped.
/// 4. *Remove* one more answer from the pool, in turn the oldest, and the worst: the hot one of the
///    highest RIF, or, if all are cold, the slowest.
///
/// ```text
/// b_reuse = max(1, (1 + δ) / ((1 − m/n) × r_probe − r_remove))
///
/// m the pool's size, n the backends, δ = 1;
/// without end where the divisor is not above 0, which is so for n ≤ 24 at the defaults
/// ```
///
/// A number that is not whole is rounded up or down by chance, so that it is right on average.
///
/// *Without a number*: an answer that does not say the [RIF](LoadReport::in_flight) is ignored; one
/// that does not say the [latency](LoadReport::latency) counts as the fastest, as of a backend that has
/// answered nobody lately: otherwise nobody would ask it again.
///
/// *Weights*: probes, and picks at random, are drawn by weight, so heavier backends are in the pool
/// more often. What the answers say is compared as it is. A backend of weight 0 is not picked.
///
/// *Backends that cannot be picked now*, such as those that the request has tried, or that have
/// left, keep their answers, which are passed over.
///
/// O(pool size), and a reading of the clock. Lock-free; the pool and the ring take about 1 KiB. While
/// threads work on the same answers a pick can go by one that has just been replaced.
///
/// # References
///
/// Bartek Wydrowski, Robert Kleinberg, Stephen M. Rumble, Aaron Archer, *Load is not what you should
/// balance: Introducing Prequal*, NSDI 2024.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::{Event, Observation};
/// use evenkeel::load::LoadReport;
/// use evenkeel::picker::{Context, Prequal};
/// use evenkeel::{BackendSet, Picker};
/// use std::time::{Duration, Instant};
///
/// let set = ["a", "b", "c"];
/// let picker = Prequal::new().probes_per_request(2.0)?;
/// let now = Instant::now();
///
/// for (rank, millis) in [(0, 9), (1, 5), (2, 7)] {
///     let load = LoadReport::new().with_in_flight(1).with_latency(Duration::from_millis(millis));
///     let probed = Observation::new(now, Event::Probed(load));
///     Picker::<()>::observe(&picker, set.handle(rank), &probed);
/// }
/// let mut cx = Context::new().at(now).with_probes();
/// assert_eq!(picker.pick(&set, &(), &mut cx), Some(1));
/// assert_eq!(cx.probes().count(), 2);
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[must_use]
pub struct Prequal {
    settings: Settings,
    /// Shared with those that were prepared from this one.
    state: Arc<State>,
    sampler: Sampler,
    /// How often an answer is used, once it is known among how many backends.
    uses: Option<f64>,
}

struct State {
    answers: Answers,
    hot: Hot,
    /// How many removals there were, for which is next.
    removals: AtomicUsize,
}

impl State {
    fn new(settings: &Settings) -> Self {
        let max_age = u64::try_from(settings.max_age.as_nanos()).unwrap_or(u64::MAX);
        Self {
            answers: Answers::new(settings.pool_size, max_age),
            hot: Hot::new(settings.quantile, settings.recent),
            removals: AtomicUsize::new(0),
        }
    }
}

impl Prequal {
    /// The paper's constants.
    pub fn new() -> Self {
        Self::with(Settings::default())
    }

    fn with(settings: Settings) -> Self {
        Self {
            state: Arc::new(State::new(&settings)),
            settings,
            sampler: Sampler::new(),
            uses: None,
        }
    }

    fn name_probes(&self, set: &dyn BackendSet, cx: &mut Context) {
        // Named once for a request, even if it was passed over and is picked for again.
        if !cx.can_probe() || cx.probes().next().is_some() {
            return;
        }
        let count = round(self.settings.probes, cx);
        self.sampler
            .draw_different(count as usize, set, cx, |rank, cx| {
                cx.probe(set.handle(rank));
            });
    }

    /// The best answer of a backend that can be picked, and its rank, if there are two such
    /// backends.
    #[inline]
    fn choose(
        &self,
        set: &dyn BackendSet,
        (now, hot_from): (u64, u32),
        first: Survey,
    ) -> Option<(Seen, usize)> {
        let answers = &self.state.answers;
        let mut survey = first;
        let mut out = 0u64;
        let mut best = None;
        // Once round in the usual case: the two best can be picked.
        loop {
            let place = survey.best()?;
            out |= 1 << place;
            let seen = answers.at(place);
            let Some((seen, rank)) =
                seen.and_then(|seen| Some((seen, rank_of(set, seen.backend)?)))
            else {
                survey = answers.survey(now, hot_from, out);
                continue;
            };
            if best.is_some() {
                return best;
            }
            best = Some((seen, rank));
            let second = survey.second().and_then(|place| answers.at(place));
            if second.is_some_and(|second| rank_of(set, second.backend).is_some()) {
                return best;
            }
            survey = answers.survey(now, hot_from, out);
        }
    }

    /// Drops the oldest and the worst, in turn. `used` is the place of the answer that was used
    /// after the survey, and what it is now.
    fn remove(
        &self,
        (now, hot_from): (u64, u32),
        mut survey: Survey,
        mut used: Option<(usize, Option<Answer>)>,
        cx: &mut Context,
    ) {
        let answers = &self.state.answers;
        for removal in 0..round(self.settings.removals, cx) {
            let turn = self.state.removals.fetch_add(1, Ordering::Relaxed);
            let oldest = turn.is_multiple_of(2);
            if removal > 0 {
                (survey, used) = (answers.survey(now, hot_from, 0), None);
            }
            let find = |survey: &Survey| match used {
                _ if oldest => survey.oldest(),
                Some((place, Some(answer))) => survey.worst_with(place, answer, hot_from),
                _ => survey.worst(),
            };
            let mut gone = find(&survey);
            // It was used for the last time, and is gone.
            if let (Some(gone_place), Some((place, None))) = (gone, used)
                && gone_place == place
            {
                survey = answers.survey(now, hot_from, 0);
                gone = find(&survey);
            }
            if let Some(seen) = gone.and_then(|place| answers.at(place)) {
                answers.remove(&seen);
            }
        }
    }

    fn take_in(&self, backend: Handle, observation: &Observation, report: &LoadReport, own: u32) {
        let Some(rif) = report.in_flight() else {
            return;
        };
        let rif = rif.saturating_sub(own);
        self.state.hot.record(rif);
        let at = observation.nanos();
        let latency = report.latency();
        self.state
            .answers
            .insert(backend, at, |place| place.filled(rif, latency));
    }
}

/// The rank of a backend if it can be picked.
fn rank_of(set: &dyn BackendSet, backend: Handle) -> Option<usize> {
    let rank = set.rank_of(backend.slot())?;
    (set.handle(rank) == backend && set.weight(rank) > 0).then_some(rank)
}

/// One of the two whole numbers next to this one, so that it is right on average.
fn round(number: f64, cx: &mut Context) -> u32 {
    let part = number.fract();
    // A chance of 2^53 equal parts.
    let up = part > 0.0 && ((cx.random() >> 11) as f64) < part * (1u64 << 53) as f64;
    number as u32 + u32::from(up)
}

impl<Req: ?Sized> Picker<Req> for Prequal {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        let now = (cx.moment().1, self.state.hot.from());
        self.name_probes(set, cx);
        let survey = self.state.answers.survey(now.0, now.1, 0);
        let (picked, used) = match self.choose(set, now, survey) {
            Some((seen, rank)) => {
                let uses = self.uses.unwrap_or_else(|| self.settings.uses(set.len()));
                let limit = round(uses, cx);
                let left = self.state.answers.count_use(&seen, |uses| uses >= limit);
                (Some(rank), Some((seen.place, left)))
            }
            None => (self.sampler.draw(set, cx), None),
        };
        self.remove(now, survey, used, cx);
        picked
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        Some(Arc::new(Self {
            settings: self.settings,
            state: Arc::clone(&self.state),
            sampler: self.sampler.prepare(update.eligible()),
            uses: Some(self.settings.uses(update.eligible().len())),
        }))
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        match observation.event() {
            Event::Probed(report) => self.take_in(backend, observation, &report, 0),
            // The request that it comes with is as good as over.
            Event::Reported(report) if self.settings.use_reports => {
                self.take_in(backend, observation, &report, 1);
            }
            _ => {}
        }
    }

    fn needs(&self) -> Needs {
        if self.settings.use_reports {
            Needs::OBSERVATIONS
        } else {
            Needs::NOTHING
        }
    }

    fn rule(&self) -> &'static str {
        "best answer to a probe (the least latency among those that are not hot); one drawn at random without enough answers; those to be probed next are looked at, too"
    }
}

impl Default for Prequal {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Prequal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prequal")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
