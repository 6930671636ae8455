mod stride;
mod table;
#[cfg(test)]
mod tests;
mod weight;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::table::Table;
use self::weight::{Periods, weight_of};
use super::sample::evenly;
use super::{Context, Needs, Picker, Update};
use crate::InvalidSetting;
use crate::backend::{Event, Handle, Observation};
use crate::set::BackendSet;

/// Picks one backend after the other, each as often as what it reports of its load says.
///
/// # When to use
///
/// When backends know best how busy they are: requests differ in cost, machines in size, or many
/// clients share them, so that nobody's own requests in flight tell much. The backends have to
/// report their utilization and their rate of requests, and the client has to believe them: see
/// `http::load_reports` (with the feature `load-reports`), or call
/// [`Completion::report`](crate::backend::Completion::report). Answers to probes count as well.
///
/// It evens out utilization over seconds, not load from one request to the next: bursts are for
/// [`LeastRequests`](super::LeastRequests). Configured weights are ignored, except that 0 is never
/// picked.
///
/// # Algorithm
///
/// That of gRPC's `weighted_round_robin` (gRFC A58). A report with a rate and a utilization above 0
/// gives its backend the weight
///
/// ```text
/// requests per second / (utilization + errors per second / requests per second × penalty)
/// ```
///
/// where the utilization is the application's, or else the processors'. Once in each
/// [update period](Self::weight_update_period) the weights are put into a static stride scheduler:
/// scaled to 65,535 for the largest, capped at 10 times their mean and at a hundredth of it. A backend
/// without a usable weight, because it has not reported, or not for long enough, or too long ago,
/// gets the mean of the others. With fewer than two usable weights it is round robin.
///
/// The turns are counted by one counter, which starts at a random place and goes on across changes
/// of the set. A turn belongs to one backend, which takes it in proportion to its weight, or else it
/// is the next one's.
///
/// In two things it differs from gRPC: a backend is none of a connection, so a lost one does not begin
/// a new blackout, and a set that changes keeps what was reported.
///
/// # Cost
///
/// A pick is one atomic addition and one look for each turn that it counts: 10 on average in the worst
/// case, 2 where the mean weight is half of the largest, about 40 ns then. Once a period, and after
/// each change of the set, one request pays for putting in the weights: O(n), about 8 µs for 1,000
/// backends and 150 µs for 10,000. No lock, no allocation. Each backend takes 74 bytes.
///
/// It has to be [prepared](Picker::prepare), which a balance and a [`Selector`](super::Selector) do;
/// before that it is round robin.
///
/// # References
///
/// [gRFC A58](https://github.com/grpc/proposal/blob/master/A58-client-side-weighted-round-robin-lb-policy.md);
/// gRPC, `static_stride_scheduler.cc`.
///
/// # Examples
///
/// ```
/// use evenkeel::Picker;
/// use evenkeel::backend::{Event, Handle, Observation};
/// use evenkeel::load::LoadReport;
/// use evenkeel::picker::{Context, ReportedWeightedRoundRobin, Update};
/// use std::time::{Duration, Instant};
///
/// let set = ["busy", "idle"];
/// let picker = ReportedWeightedRoundRobin::new().blackout_period(Duration::ZERO);
/// let picker = picker.prepare(&Update::new(&set, &set)).expect("it has a table");
///
/// // Both answer 100 requests a second, and one is at its limit with that.
/// let now = Instant::now();
/// for (slot, utilization) in [(0, 1.0), (1, 0.25)] {
///     let report = LoadReport::new().with_requests_per_second(100.0).with_cpu_utilization(utilization);
///     picker.observe(Handle::of_slot(slot), &Observation::new(now, Event::Reported(report)));
/// }
///
/// let picks = (0..1_000).filter_map(|_| picker.pick(&set, &(), &mut Context::new().at(now)));
/// let idle = picks.filter(|&rank| rank == 1).count();
/// assert!((799..=801).contains(&idle));
/// ```
#[must_use]
pub struct ReportedWeightedRoundRobin {
    /// `Relaxed`: only the count itself matters.
    turns: Arc<AtomicU64>,
    settings: Settings,
    table: Option<Table>,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    periods: Periods,
    /// In nanoseconds.
    update: u64,
    penalty: f64,
}

/// How many backends whose turn it is may be masked before one of the others is drawn.
const MASKED: u32 = 16;

const LEAST_UPDATE: Duration = Duration::from_millis(100);

impl ReportedWeightedRoundRobin {
    /// The defaults, which are those of gRFC A58.
    pub fn new() -> Self {
        Self::starting_at(fastrand::u64(..))
    }

    /// Starts at a given turn: 0 is the first backend's.
    pub fn starting_at(start: u64) -> Self {
        Self {
            turns: Arc::new(AtomicU64::new(start)),
            settings: Settings {
                periods: Periods {
                    blackout: nanos(Duration::from_secs(10)),
                    expiration: nanos(Duration::from_secs(180)),
                },
                update: nanos(Duration::from_secs(1)),
                penalty: 1.0,
            },
            table: None,
        }
    }

    /// Sets for how long a backend has to report before its weight is used. Default 10 s; 0 means
    /// at once.
    ///
    /// It begins with the first report, and anew with the first after a weight has
    /// [expired](Self::weight_expiration_period).
    pub fn blackout_period(mut self, period: Duration) -> Self {
        self.settings.periods.blackout = nanos(period);
        self
    }

    /// Sets how long after its backend's last report a weight is used. Default 3 min.
    ///
    /// # Errors
    ///
    /// If it is 0.
    pub fn weight_expiration_period(mut self, period: Duration) -> Result<Self, InvalidSetting> {
        if period.is_zero() {
            let given = format_args!("{period:?}");
            let expected = "more than 0";
            return Err(InvalidSetting::new(
                "weight expiration period",
                given,
                expected,
            ));
        }
        self.settings.periods.expiration = nanos(period);
        Ok(self)
    }

    /// Sets how often the shares follow the reports. Default 1 s.
    ///
    /// # Errors
    ///
    /// If it is less than 100 ms.
    pub fn weight_update_period(mut self, period: Duration) -> Result<Self, InvalidSetting> {
        if period < LEAST_UPDATE {
            let given = format_args!("{period:?}");
            return Err(InvalidSetting::new(
                "weight update period",
                given,
                "100 ms or more",
            ));
        }
        self.settings.update = nanos(period);
        Ok(self)
    }

    /// Sets how much of its utilization a backend is taken to have more if all of its requests are
    /// errors. Default 1.0; 0 means that errors do not count.
    ///
    /// # Errors
    ///
    /// If it is negative, infinite or not a number.
    pub fn error_utilization_penalty(mut self, penalty: f64) -> Result<Self, InvalidSetting> {
        if !penalty.is_finite() || penalty < 0.0 {
            let expected = "a number from 0";
            return Err(InvalidSetting::new(
                "error utilization penalty",
                penalty,
                expected,
            ));
        }
        self.settings.penalty = penalty;
        Ok(self)
    }

    fn turn(&self) -> u64 {
        self.turns.fetch_add(1, Ordering::Relaxed)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl<Req: ?Sized> Picker<Req> for ReportedWeightedRoundRobin {
    fn pick(&self, set: &dyn BackendSet, _request: &Req, cx: &mut Context) -> Option<usize> {
        let Some(table) = &self.table else {
            let rank = self.turn().checked_rem(set.len() as u64)? as usize;
            let usable = cx.attempt() == 0 && set.weight(rank) > 0;
            return if usable {
                Some(rank)
            } else {
                evenly(set, cx.random())
            };
        };
        table.update(cx.moment().1, self.settings);
        let mut masked = 0;
        // Whoever has the largest weight takes every turn of its own.
        for _ in 0..2 * table.len() {
            let Some(slot) = table.slot(self.turn()) else {
                continue;
            };
            if let Some(rank) = set.rank_of(slot) {
                return Some(rank);
            }
            masked += 1;
            if masked > MASKED {
                break;
            }
        }
        evenly(set, cx.random())
    }

    fn prepare(&self, update: &Update<'_>) -> Option<Arc<dyn Picker<Req>>> {
        Some(Arc::new(Self {
            turns: Arc::clone(&self.turns),
            settings: self.settings,
            table: Some(Table::new(update, self.table.as_ref())),
        }))
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        let (Event::Reported(report) | Event::Probed(report)) = observation.event() else {
            return;
        };
        let known = self.table.as_ref().and_then(|table| table.member(backend));
        if let Some(known) = known
            && let Some(weight) = weight_of(&report, self.settings.penalty)
        {
            let at = observation.nanos();
            known.note(weight, at, self.settings.periods);
        }
    }

    fn needs(&self) -> Needs {
        Needs::OBSERVATIONS
    }

    fn rule(&self) -> &'static str {
        "its turn, as often as the load that it reports says"
    }
}

impl Default for ReportedWeightedRoundRobin {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ReportedWeightedRoundRobin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportedWeightedRoundRobin")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
