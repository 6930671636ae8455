//! What the watcher of a pool's health may change.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::book::Book;
use super::member::Member;
use super::slow_start::SlowStart;
use super::tally::Tally;
use crate::backend::{
    Condition, Ejected, Guard, Handle, Hint, Hold, Probed, Recording, State, Why,
};

/// What a watcher wants of the pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watching {
    /// So many failures in a row raise an alarm.
    pub(crate) in_a_row: Option<u32>,
    pub(crate) gateway_in_a_row: Option<u32>,
    /// Whether latencies are needed.
    pub(crate) measured: bool,
    /// Whether a newcomer has to pass a probe first.
    pub(crate) gated: bool,
    /// Whether anybody is probed.
    pub(crate) probes: bool,
    /// The most that may be ejected at once, as a share.
    pub(crate) max_ejected: f64,
}

/// What a watcher has found out about a backend.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// Its traffic takes it out.
    Eject {
        until: Instant,
        why: Arc<Why>,
    },
    /// One request may show that it is well.
    Try,
    /// It is well.
    TakeBack,
    #[cfg_attr(
        not(feature = "tower"),
        expect(dead_code, reason = "found out by probes")
    )]
    Probed(Probed, Option<Arc<Why>>),
    DegradedUntil(Option<Instant>),
    /// It asks to be spared; in nanoseconds since the epoch.
    RestrainedUntil(u64),
}

/// The book's part of it.
#[derive(Debug, Default)]
pub(super) struct Watched {
    watching: Option<Watching>,
    /// The same, without the book's lock. `Relaxed`: who sees it late looks again.
    on: Arc<AtomicBool>,
    /// Somebody wants to know of the traffic, whether or not health is watched.
    traffic: bool,
    /// Enough has been known of those who were there at the beginning to go by.
    settled: bool,
    trials: u32,
}

impl Watched {
    pub(super) fn on(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.on)
    }

    pub(super) fn is_on(&self) -> bool {
        self.watching.is_some()
    }

    pub(super) fn records_traffic(&self) -> bool {
        self.traffic
    }

    /// What is recorded, if anything is.
    pub(super) fn recording(&self) -> Option<Recording> {
        let measured = self.watching.map(|watching| watching.measured);
        (measured.is_some() || self.traffic).then(|| Recording {
            measured: self.traffic || measured == Some(true),
            latencies: self.traffic,
        })
    }

    /// How a newcomer begins.
    pub(super) fn newcomers(&self) -> Probed {
        match self.watching {
            Some(Watching { gated: true, .. }) if self.settled => Probed::Gated,
            Some(Watching { gated: true, .. }) => Probed::Founding,
            _ => Probed::Unknown,
        }
    }

    /// There is a new snapshot.
    pub(super) fn look_at(&mut self, tally: &Tally) {
        self.settled |= tally.healthy() > 0 && !tally.is_in_panic();
    }

    /// A number for the next trial: none before it had the same. (But for 4 billion.)
    pub(super) fn next_trial(&mut self) -> NonZeroU32 {
        self.trials = self.trials.wrapping_add(1);
        NonZeroU32::new(self.trials).unwrap_or(NonZeroU32::MIN)
    }
}

impl<T: Clone> Book<T> {
    pub(super) fn watch(&mut self, watching: Watching) -> u64 {
        let watcher = self
            .alarms
            .watch(watching.in_a_row, watching.gateway_in_a_row);
        self.watched.watching = Some(watching);
        self.watched.on.store(true, Ordering::Relaxed);
        self.watched.settled = false;
        for &slot in &*self.all_slots() {
            let Some(member) = self.members.get(slot as usize) else {
                continue;
            };
            if let Some(recording) = self.watched.recording() {
                member.live.record_for(&self.alarms, recording);
            }
            // Who was trusted without a probe is not any more, and the other way round.
            let probed = match member.condition.probed {
                Probed::Unknown | Probed::Gated | Probed::Founding => self.watched.newcomers(),
                known if watching.probes => known,
                _ => Probed::Unknown,
            };
            if probed != member.condition.probed {
                self.rethink(slot, |condition| {
                    condition.probed = probed;
                    condition.find(|findings| findings.probe_says = None);
                });
            }
        }
        self.release_excess();
        // The watcher begins with what is published, so that has to be all that is known.
        self.stale = true;
        self.renew_if_changed();
        watcher
    }

    pub(super) fn unwatch(&mut self, watcher: u64) {
        if !self.alarms.is_watched_by(watcher) {
            return;
        }
        self.watched.watching = None;
        self.watched.on.store(false, Ordering::Relaxed);
        self.alarms.end();
        for &slot in &*self.all_slots() {
            let Some(member) = self.members.get(slot as usize) else {
                continue;
            };
            match self.watched.recording() {
                Some(recording) => member.live.record_for(&self.alarms, recording),
                None => member.live.stop_recording(),
            }
            let known = &member.condition;
            let nothing = known.probed == Probed::Unknown
                && known.ejected().is_none()
                && known.degraded_until().is_none();
            if !nothing {
                self.rethink(slot, Condition::forget_health);
            }
        }
        self.renew_if_changed();
    }

    /// From now on the traffic is recorded, whether or not health is watched.
    pub(super) fn record_traffic(&mut self) {
        self.watched.traffic = true;
        if let Some(recording) = self.watched.recording() {
            for member in self.all_members() {
                member.live.record_for(&self.alarms, recording);
            }
        }
    }

    pub(super) fn judge(&mut self, verdicts: Vec<(Handle, Verdict)>) -> Vec<bool> {
        let mut done = vec![false; verdicts.len()];
        // Ejections last: how many more there may be is then counted once.
        let is_ejection = |verdict: &Verdict| matches!(verdict, Verdict::Eject { .. });
        let (ejections, others): (Vec<_>, Vec<_>) = verdicts
            .into_iter()
            .enumerate()
            .partition(|(_, (_, verdict))| is_ejection(verdict));
        let mut room = None;
        for (at, (handle, verdict)) in others.into_iter().chain(ejections) {
            done[at] = self.apply_verdict(handle, verdict, &mut room);
        }
        self.renew_if_changed();
        done
    }

    fn apply_verdict(
        &mut self,
        handle: Handle,
        verdict: Verdict,
        room: &mut Option<usize>,
    ) -> bool {
        let slot = handle.slot() as u32;
        let Some(member) = self.members.get(handle.slot()) else {
            return false;
        };
        if member.live.handle() != handle {
            return false;
        }
        let (condition, state) = (&member.condition, member.state());
        match verdict {
            Verdict::Eject { until, why } => {
                let again = condition.ejected().is_some_and(|ejected| ejected.trial);
                let ejectable = state.is_in_use() && state != State::ForcedUp;
                if !again {
                    let left = *room.get_or_insert_with(|| self.room());
                    if !ejectable || left == 0 {
                        return false;
                    }
                    *room = Some(left - 1);
                }
                let ejected = Ejected {
                    until,
                    why,
                    trial: false,
                };
                self.rethink(slot, |condition| {
                    condition.find(|findings| findings.ejected = Some(ejected));
                });
            }
            Verdict::Try => {
                if condition.ejected().is_none_or(|ejected| ejected.trial) {
                    return false;
                }
                self.rethink(slot, |condition| {
                    condition.find(|findings| {
                        if let Some(ejected) = &mut findings.ejected {
                            ejected.trial = true;
                        }
                    });
                });
            }
            Verdict::TakeBack => {
                if condition.ejected().is_none() {
                    return false;
                }
                self.rethink(slot, |condition| {
                    condition.find(|findings| findings.ejected = None);
                });
            }
            Verdict::Probed(probed, why) => {
                if condition.probed != probed || condition.probe_says() != why.as_ref() {
                    self.rethink(slot, |condition| {
                        condition.probed = probed;
                        condition.find(|findings| findings.probe_says = why);
                    });
                }
            }
            Verdict::DegradedUntil(until) => {
                if condition.degraded_until() != until {
                    self.rethink(slot, |condition| {
                        condition.find(|findings| findings.degraded_until = until);
                    });
                }
            }
            Verdict::RestrainedUntil(until) => return self.restrain(slot, until),
        }
        true
    }

    fn restrain(&mut self, slot: u32, until: u64) -> bool {
        let Some(member) = self.members.get(slot as usize) else {
            return false;
        };
        match member.live.guard() {
            Guard::Trial { .. } => return false,
            Guard::Restrained { until: already } if already >= until => return true,
            _ => {}
        }
        member.live.gate().set(Guard::Restrained { until });
        let known = !self.guarded.insert(slot);
        // What was published says that somebody is guarded for as long: that will do.
        let window = self.rules.slow_start.map_or(0, SlowStart::window);
        let end = until.saturating_add(window);
        if !(known && self.snapshot().is_guarded(slot as usize, end)) {
            self.stale = true;
        }
        true
    }

    /// Changes what is known of a member, and sees to what follows.
    fn rethink(&mut self, slot: u32, change: impl FnOnce(&mut Condition)) {
        let Some(member) = self.members.get_mut(slot as usize) else {
            return;
        };
        let before = member.state();
        let seen = member.seen();
        change(&mut member.condition);
        // What nobody can see, such as the first success of one that is trusted, is not published.
        self.stale |= member.seen() != seen;
        if member.condition.ejected().is_some() {
            self.ejected.insert(slot);
        } else {
            self.ejected.remove(&slot);
        }
        self.transition(slot, before);
    }

    fn renew_if_changed(&mut self) {
        if std::mem::take(&mut self.stale) {
            self.renew();
        }
    }

    /// How many more may be ejected.
    fn room(&self) -> usize {
        let (mut out, mut all) = (0, 0);
        for member in self.free_members() {
            all += 1;
            let is_unhealthy = member.condition.probed == Probed::Unhealthy
                || member.settings.hint() == Hint::Unhealthy;
            out += usize::from(member.condition.ejected().is_some() || is_unhealthy);
        }
        self.most_ejected(all).saturating_sub(out)
    }

    /// Of so many that no operator holds: at least one, never all.
    fn most_ejected(&self, all: usize) -> usize {
        let share = self
            .watched
            .watching
            .map_or(0.0, |watching| watching.max_ejected);
        // 0.3 of 10 is 3, whatever the processor makes of it.
        let most = (share * all as f64 + 1e-9) as usize;
        most.max(1).min(all.saturating_sub(1))
    }

    /// When members have left or are held, fewer may be ejected: those go back that are due first.
    /// Returns whether any did.
    pub(super) fn release_excess(&mut self) -> bool {
        if self.ejected.is_empty() {
            return false;
        }
        let (mut ejected, mut all) = (Vec::new(), 0);
        for member in self.free_members() {
            all += 1;
            if let Some(ejection) = member.condition.ejected() {
                ejected.push((!ejection.trial, ejection.until, member.live.handle().slot()));
            }
        }
        let excess = ejected.len().saturating_sub(self.most_ejected(all));
        ejected.sort_unstable();
        for (.., slot) in ejected.into_iter().take(excess) {
            self.rethink(slot as u32, |condition| {
                condition.find(|findings| findings.ejected = None);
            });
        }
        excess > 0
    }

    fn free_members(&self) -> impl Iterator<Item = &Member<T>> {
        self.all_members().filter(|member| {
            let leaves = member.settings.hint() == Hint::Draining;
            member.condition.hold == Hold::None && !leaves && member.state() != State::ZeroWeight
        })
    }
}
