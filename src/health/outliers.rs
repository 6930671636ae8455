use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Ejection;
use super::compare::{Latencies, Recorded, outliers};
use super::ejection::LONGEST_SPARING;
use crate::backend::{Guard, Handle, Live, Phase, Wants, Why, after};
use crate::set::{Snapshot, Verdict};
use crate::time::{later, since_epoch};

/// Finds the backends that their traffic shows to be ill, and brings them back: the rules of
/// [`Ejection`], as a function of the time and of what requests have recorded. It waits for
/// nothing, so that it runs on any clock.
pub(super) struct Outliers {
    rules: Ejection,
    known: HashMap<Handle, Known>,
    /// When there is something to do about whom.
    due: BTreeSet<(Instant, Handle)>,
    /// Set by the first look.
    next_interval: Option<Instant>,
    random: fastrand::Rng,
}

struct Known {
    live: Arc<Live>,
    stage: Stage,
    /// How often it was ejected, less the good intervals since.
    strikes: u32,
    /// What had been recorded at the beginning of the interval.
    before: Recorded,
    degraded_until: Option<Instant>,
    /// It was out at some time of the interval.
    was_out: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    In,
    Ejected {
        until: Instant,
    },
    Trial {
        until: Instant,
        /// Somebody has tried, and has until then to be answered.
        tried: bool,
    },
}

impl Outliers {
    pub(super) fn new(rules: Ejection, random: fastrand::Rng) -> Self {
        Self {
            next_interval: None,
            rules,
            known: HashMap::new(),
            due: BTreeSet::new(),
            random,
        }
    }

    /// Takes note of who is a member.
    pub(super) fn members<T>(&mut self, snapshot: &Snapshot<T>, now: Instant) {
        let mut before = std::mem::take(&mut self.known);
        for member in snapshot.all() {
            let handle = member.live.handle();
            if let Some(mut known) = before.remove(&handle) {
                // There were too many, and the pool has taken it back.
                if member.condition.ejected().is_none() {
                    known.stage = Stage::In;
                }
                self.known.insert(handle, known);
                continue;
            }
            // Another watcher may have ejected it.
            let stage = match member.condition.ejected() {
                None => Stage::In,
                Some(ejected) if ejected.trial => Stage::Trial {
                    until: later(now, self.rules.interval),
                    tried: false,
                },
                Some(ejected) => Stage::Ejected {
                    until: ejected.until,
                },
            };
            if let Stage::Ejected { until } | Stage::Trial { until, .. } = stage {
                self.due.insert((until, handle));
            }
            let degraded_until = member.condition.degraded_until();
            self.due.extend(degraded_until.map(|until| (until, handle)));
            // What is faster than the floor says nothing.
            if let (Some(record), Some(limit)) = (member.live.record(), self.rules.latency) {
                record.set_slow(limit.floor);
            }
            let known = Known {
                live: Arc::clone(&member.live),
                stage,
                strikes: u32::from(stage != Stage::In),
                before: Recorded::of(&member.live),
                degraded_until,
                was_out: false,
            };
            self.known.insert(handle, known);
        }
        if !before.is_empty() {
            let known = &self.known;
            self.due.retain(|(_, handle)| known.contains_key(handle));
        }
    }

    pub(super) fn knows(&self, handle: Handle) -> bool {
        self.known.contains_key(&handle)
    }

    /// When [`advance`](Self::advance) has something to do.
    pub(super) fn next(&self) -> Option<Instant> {
        let due = self.due.first().map(|&(at, _)| at);
        due.into_iter().chain(self.next_interval).min()
    }

    /// A backend's requests have left word.
    pub(super) fn alarm(&mut self, handle: Handle, now: Instant) -> Vec<(Handle, Verdict)> {
        let mut verdicts = Vec::new();
        let Some(known) = self.known.get(&handle) else {
            return verdicts;
        };
        let Some(record) = known.live.record() else {
            return verdicts;
        };
        let wants = record.take_wants();
        if wants.contains(Wants::TRIAL) {
            verdicts.extend(self.trial_is_over(handle, now, false));
        } else if known.stage == Stage::In {
            let in_a_row = [
                (
                    Wants::IN_A_ROW,
                    self.rules.failures_in_a_row,
                    record.in_a_row(),
                    Why::FailuresInARow as fn(u32) -> Why,
                ),
                (
                    Wants::GATEWAY_IN_A_ROW,
                    self.rules.gateway_failures_in_a_row,
                    record.gateway_in_a_row(),
                    Why::GatewayFailuresInARow,
                ),
            ];
            let mut broken = in_a_row.into_iter().filter(|(want, most, failures, _)| {
                wants.contains(*want) && most.is_some_and(|most| *failures >= most)
            });
            if let Some((_, _, failures, why)) = broken.next() {
                verdicts.push(self.eject(handle, why(failures), now));
            }
        }
        if wants.contains(Wants::REJECTED) {
            verdicts.extend(self.spare(handle, now).map(|verdict| (handle, verdict)));
        }
        if wants.contains(Wants::DEGRADED) {
            let until = later(now, self.rules.degraded_for);
            if let Some(known) = self.known.get_mut(&handle) {
                // Others of the kind prolong it, but need not be told one by one.
                if known.degraded_until.replace(until).is_none() {
                    self.due.insert((until, handle));
                    verdicts.push((handle, Verdict::DegradedUntil(Some(until))));
                }
            }
        }
        verdicts
    }

    /// Does what is due.
    pub(super) fn advance(&mut self, now: Instant) -> Vec<(Handle, Verdict)> {
        let mut verdicts = Vec::new();
        while let Some(&(at, handle)) = self.due.first()
            && at <= now
        {
            self.due.pop_first();
            let Some(known) = self.known.get_mut(&handle) else {
                continue;
            };
            match known.degraded_until {
                Some(until) if until <= now => {
                    known.degraded_until = None;
                    verdicts.push((handle, Verdict::DegradedUntil(None)));
                }
                // It was prolonged.
                Some(until) => {
                    self.due.insert((until, handle));
                }
                None => {}
            }
            match known.stage {
                Stage::Ejected { until } if until <= now => {
                    let until = later(now, self.rules.interval);
                    known.stage = Stage::Trial {
                        until,
                        tried: false,
                    };
                    self.due.insert((until, handle));
                    verdicts.push((handle, Verdict::Try));
                }
                Stage::Trial { until, .. } if until <= now => {
                    verdicts.extend(self.trial_is_over(handle, now, true));
                }
                _ => {}
            }
        }
        let end = later(now, self.rules.interval);
        if *self.next_interval.get_or_insert(end) <= now {
            self.next_interval = Some(end);
            verdicts.extend(self.compare(now));
        }
        verdicts
    }

    /// Learns what became of its verdicts.
    pub(super) fn done(&mut self, handle: Handle, verdict: &Verdict, done: bool) {
        let Some(known) = self.known.get_mut(&handle) else {
            return;
        };
        match verdict {
            Verdict::Eject { until, .. } if done => {
                // Beyond the longest time they would only take longer to live down.
                let longest = self.rules.max_time.max(self.rules.base_time);
                if doubled(self.rules.base_time, known.strikes) < longest {
                    known.strikes += 1;
                }
                known.stage = Stage::Ejected { until: *until };
                known.was_out = true;
                self.due.insert((*until, handle));
                if let Some(record) = known.live.record() {
                    record.forget_failures();
                }
            }
            Verdict::TakeBack => {
                known.stage = Stage::In;
                known.before = Recorded::of(&known.live);
                if let Some(record) = known.live.record() {
                    record.forget_failures();
                }
            }
            // The pool has taken it back by itself.
            Verdict::Eject { .. } | Verdict::Try
                if !done && matches!(known.stage, Stage::Trial { .. }) =>
            {
                known.stage = Stage::In;
            }
            _ => {}
        }
    }

    fn eject(&mut self, handle: Handle, why: Why, now: Instant) -> (Handle, Verdict) {
        let strikes = self.known.get(&handle).map_or(0, |known| known.strikes);
        let most = self.rules.max_time.max(self.rules.base_time);
        let time = doubled(self.rules.base_time, strikes).min(most);
        let jitter = time.mul_f64(self.rules.jitter * self.random.f64());
        let why = Arc::new(why);
        let until = later(now, time.saturating_add(jitter));
        (handle, Verdict::Eject { until, why })
    }

    fn trial_is_over(
        &mut self,
        handle: Handle,
        now: Instant,
        time_is_up: bool,
    ) -> Option<(Handle, Verdict)> {
        let known = self.known.get_mut(&handle)?;
        let (Stage::Trial { tried, .. }, Guard::Trial { phase, .. }) =
            (known.stage, known.live.guard())
        else {
            // Held by an operator, say. Whatever it shows from now on counts.
            return time_is_up.then_some((handle, Verdict::TakeBack));
        };
        match phase {
            Phase::Passed => Some((handle, Verdict::TakeBack)),
            Phase::Failed => Some(self.eject(handle, Why::TrialFailed, now)),
            // A long stream that began well, or nobody who tried.
            Phase::Answered | Phase::Free if time_is_up => Some((handle, Verdict::TakeBack)),
            // Whoever gave up got no answer, either.
            Phase::Taken | Phase::GivenUp if time_is_up => {
                Some(self.eject(handle, Why::TrialHangs, now))
            }
            // The first to try has an interval. Those who try after it was given up have the rest.
            Phase::Taken | Phase::GivenUp if !tried => {
                let until = later(now, self.rules.interval);
                known.stage = Stage::Trial { until, tried: true };
                self.due.insert((until, handle));
                None
            }
            _ => None,
        }
    }

    fn spare(&self, handle: Handle, now: Instant) -> Option<Verdict> {
        let record = self.known.get(&handle)?.live.record()?;
        if self.rules.spare.is_zero() {
            return None;
        }
        let now = since_epoch(now);
        let least = after(now, self.rules.spare);
        let asked = record.take_retry_at().min(after(now, LONGEST_SPARING));
        Some(Verdict::RestrainedUntil(least.max(asked)))
    }

    /// Looks at what has ended in the interval.
    fn compare(&mut self, now: Instant) -> Vec<(Handle, Verdict)> {
        let interval: Vec<(Handle, Recorded)> = self
            .known
            .iter_mut()
            .map(|(&handle, known)| (handle, known.stage, known.end_interval(now)))
            // Who is out already is no measure for the others.
            .filter(|&(_, stage, _)| stage == Stage::In)
            .map(|(handle, _, recorded)| (handle, recorded))
            .collect();
        let latencies = Latencies::of(&self.rules, &interval);
        if let (Some(latencies), Some(limit)) = (&latencies, self.rules.latency) {
            for (handle, usual) in latencies.usual() {
                let known = self.known.get(&handle);
                if let Some(record) = known.and_then(|known| known.live.record()) {
                    record.set_slow(usual.max(limit.floor));
                }
            }
        }
        let outliers = outliers(&self.rules, &interval, latencies).into_iter();
        outliers
            .map(|outlier| self.eject(outlier.handle, outlier.why, now))
            .collect()
    }
}

/// So many times.
fn doubled(time: Duration, times: u32) -> Duration {
    let factor = 1u32.checked_shl(times).unwrap_or(u32::MAX);
    time.saturating_mul(factor)
}

impl Known {
    /// What has been recorded since the interval began; the next one begins.
    fn end_interval(&mut self, now: Instant) -> Recorded {
        if self.stage == Stage::In && !std::mem::take(&mut self.was_out) {
            self.strikes = self.strikes.saturating_sub(1);
        }
        let total = Recorded::of(&self.live);
        let of = total.since(self.before);
        self.before = total;
        let (waiting, age) = self.live.total_age(now);
        of.with_waiting(waiting, age)
    }
}
