//! What is made of what becomes of requests, and of what backends say.

use std::time::Duration;

use super::learnt::Learnt;
use super::recent::Recent;
use super::score::{USUAL_LASTS, others};
use super::slot::{Seen, Slot};
use super::ticks::{age, fade, ticks};
use crate::backend::{Handle, Outcome};
use crate::load::LoadReport;

/// How much the latest look counts in what is usual, or slow, at a backend; and an outcome in its
/// share of failures.
const LATEST_USUAL: f32 = 0.2;
const LATEST_SLOWNESS: f32 = 0.3;
const LATEST_OUTCOME: f32 = 0.3;

/// What all that were made from one share.
pub(super) struct Known {
    pub(super) recent: Recent,
    pub(super) learnt: Learnt,
}

impl Known {
    pub(super) fn new() -> Self {
        Self {
            recent: Recent::new(),
            learnt: Learnt::default(),
        }
    }

    pub(super) fn dispatched(&self, slot: &Slot, now: u32) {
        let alone = slot.enter() == 0;
        let learnt = &self.learnt;
        let seen = if alone && learnt.wants_to_foretell(now) {
            slot.seen()
        } else {
            None
        };
        slot.foretell(seen.map(|_| others(slot, learnt.mean(), learnt.rate(), now)));
    }

    pub(super) fn answered(
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
    pub(super) fn ended(
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
                self.learnt.note_failure(now);
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
    pub(super) fn reported(
        &self,
        slot: &Slot,
        backend: Handle,
        report: &LoadReport,
        asking: f32,
        now: u32,
    ) {
        let Some(in_flight) = report.in_flight() else {
            return;
        };
        let in_flight = in_flight as f32;
        self.learnt.note_report(now);
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
