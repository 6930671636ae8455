//! What follows from a member's being in another state than before: its gate, and who is told.

use std::sync::Arc;

use super::book::Book;
use super::events::Happened;
use super::slow_start::SlowStart;
use super::snapshot::Snapshot;
use super::status::TierStatus;
use crate::backend::{Guard, Phase, State};
use crate::time::{now, since_epoch};

impl<T: Clone> Book<T> {
    /// Sees to what follows from a member's being in another state than `before`.
    pub(super) fn transition(&mut self, slot: u32, before: State) {
        let Some(member) = self.members.get(slot as usize) else {
            return;
        };
        let state = member.state();
        if state == before {
            return;
        }
        let at = now();
        let guard = if state == State::Trial {
            Some(Guard::Trial {
                epoch: self.watched.next_trial(),
                phase: Phase::Free,
            })
        } else if state.is_in_use() && !before.is_in_use() {
            // Who was used in panic has its share already.
            let served = self.snapshot().panics(slot as usize);
            let slow_start = self.rules.slow_start.filter(|_| !served);
            Some(slow_start.map_or(Guard::Open, |_| Guard::Ramping {
                since: since_epoch(at),
            }))
        } else {
            // Who is out keeps its guard: requests that have read an older list may still get
            // there.
            None
        };
        if let Some(guard) = guard {
            member.live.gate().set(guard);
            self.guarded.insert(slot);
        }
        let Some(member) = self.members.get_mut(slot as usize) else {
            return;
        };
        member.condition.set_since(at);
        let why = member.condition.why(&member.settings).cloned();
        self.log.push(
            at,
            Happened::Changed {
                backend: Arc::clone(member.live.shared_id()),
                from: before,
                to: state,
                // What it was ejected for is told already.
                why: why.filter(|_| state != State::Trial),
                until: member.condition.until(&member.settings),
            },
        );
    }

    /// Forgets the guards that are over.
    pub(super) fn open_gates(&mut self) {
        if self.guarded.is_empty() {
            return;
        }
        let now = since_epoch(now());
        let window = self.rules.slow_start.map_or(0, SlowStart::window);
        let members = &self.members;
        self.guarded.retain(|&slot| {
            let Some(member) = members.get(slot as usize) else {
                return false;
            };
            let gate = member.live.gate();
            let guarded = match gate.look() {
                Guard::Open => false,
                Guard::Trial { .. } => true,
                Guard::Ramping { since: begin } | Guard::Restrained { until: begin } => {
                    now < begin.saturating_add(window)
                }
            };
            if !guarded {
                gate.set(Guard::Open);
            }
            guarded
        });
    }

    pub(super) fn tell_of_panic(&self, before: &Snapshot<T>) {
        let (old, new) = (&before.tally.tiers[..], &self.snapshot().tally.tiers[..]);
        if !before.tally.is_in_panic() && !self.snapshot().tally.is_in_panic() {
            return;
        }
        let panic = |tiers: &[TierStatus], priority| {
            let tier = tiers.iter().find(|tier| tier.priority() == priority);
            tier.is_some_and(TierStatus::is_in_panic)
        };
        let gone = old.iter().map(TierStatus::priority);
        let gone = gone.filter(|&priority| new.iter().all(|tier| tier.priority() != priority));
        for priority in new.iter().map(TierStatus::priority).chain(gone) {
            let on = panic(new, priority);
            if on != panic(old, priority) {
                self.log.push(now(), Happened::Panic { priority, on });
            }
        }
    }
}
