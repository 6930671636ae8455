//! The rule against a model of it, which is told as plainly as it can be.

use std::collections::VecDeque;
use std::time::Duration;

use evenkeel::picker::{Context, Prequal, Update};
use evenkeel::set::Masked;
use evenkeel::{BackendSet, Picker};
use proptest::prelude::*;

use crate::{answer, backends, start};

struct Answer {
    slot: usize,
    rif: u32,
    latency: u64,
    at: u64,
    uses: u32,
}

struct Model {
    size: usize,
    quantile: f64,
    window: usize,
    removals: u32,
    /// How often an answer is used.
    limit: u32,
    answers: Vec<Answer>,
    recent: VecDeque<u32>,
    seen: usize,
    hot_above: Option<u32>,
    removed: u32,
}

const MAX_AGE: u64 = 1_000_000;

impl Model {
    fn answer(&mut self, new: Answer) {
        self.recent.push_back(new.rif);
        if self.recent.len() > self.window {
            self.recent.pop_front();
        }
        self.seen += 1;
        if self.seen <= 16 || self.seen % 8 == 1 {
            let mut sorted: Vec<u32> = self.recent.iter().copied().collect();
            sorted.sort_unstable();
            let at = (self.quantile * sorted.len() as f64).ceil() as usize;
            self.hot_above = Some(sorted[at.max(1) - 1]);
        }
        let same = |old: &Answer| old.slot == new.slot;
        if let Some(old) = self.answers.iter_mut().find(|old| same(old)) {
            if old.at <= new.at {
                *old = new;
            }
            return;
        }
        if self.answers.len() < self.size {
            self.answers.push(new);
            return;
        }
        let oldest = self.answers.iter_mut().min_by_key(|old| old.at);
        if let Some(oldest) = oldest.filter(|oldest| oldest.at <= new.at) {
            *oldest = new;
        }
    }

    fn is_hot(&self, answer: &Answer) -> bool {
        self.hot_above.is_some_and(|most| answer.rif > most)
    }

    /// Of two the worse is the greater.
    fn badness(&self, answer: &Answer) -> (bool, u64, u64) {
        let rif = u64::from(answer.rif);
        if self.is_hot(answer) {
            (true, rif, answer.latency)
        } else {
            (false, answer.latency, rif)
        }
    }

    /// The slot, or `None` where chance decides.
    fn pick(&mut self, now: u64, out: &[usize]) -> Option<usize> {
        self.answers
            .retain(|answer| now.saturating_sub(answer.at) <= MAX_AGE);
        let usable = |answer: &&Answer| !out.contains(&answer.slot);
        let best = self
            .answers
            .iter()
            .filter(usable)
            .min_by_key(|a| self.badness(a));
        let enough = self.answers.iter().filter(usable).count() >= 2;
        let picked = best.map(|best| best.slot).filter(|_| enough);
        if let Some(slot) = picked {
            let at = self
                .answers
                .iter()
                .position(|answer| answer.slot == slot)
                .expect("it is there");
            self.answers[at].rif += 1;
            self.answers[at].uses += 1;
            if self.answers[at].uses >= self.limit {
                self.answers.remove(at);
            }
        }
        for _ in 0..self.removals {
            let indexes = 0..self.answers.len();
            let gone = if self.removed.is_multiple_of(2) {
                indexes.min_by_key(|&at| self.answers[at].at)
            } else {
                indexes.max_by_key(|&at| self.badness(&self.answers[at]))
            };
            self.removed += 1;
            if let Some(gone) = gone {
                self.answers.remove(gone);
            }
        }
        picked
    }
}

#[derive(Clone, Debug)]
enum Step {
    Answer {
        slot: usize,
        rif: u32,
        latency: u64,
        late: u64,
    },
    Pick {
        out: Vec<usize>,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let answer = (
        0..20usize,
        0..8u32,
        0..50u64,
        prop_oneof![3 => Just(0), 1 => 0..1_200u64],
    )
        .prop_map(|(slot, rif, latency, late)| Step::Answer {
            slot,
            rif,
            latency,
            late,
        });
    let pick = prop::collection::vec(0..20usize, 0..4).prop_map(|out| Step::Pick { out });
    prop_oneof![3 => answer, 1 => pick]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn each_pick_is_that_of_the_model(
        steps in prop::collection::vec((step(), 0..120u64), 0..200),
        (size, quantile, window, removals) in (2..=16usize, 0.01..0.99, 1..=40usize, 0..=2u32),
        uses in 1..=3u32, many: bool, seed: u64,
    ) {
        let n = if many { 1_000 } else { 20 };
        let gained = (1.0 - size as f64 / n as f64) * 3.0 - f64::from(removals);
        // A whole number of uses, or without end, so that chance has no part in it.
        let (delta, limit) = if gained > 0.0 {
            let limit = f64::from(uses).max((1.0 / gained).ceil());
            (limit * gained - 1.0, limit as u32)
        } else {
            (0.0, u32::MAX)
        };
        let set = backends(n);
        let picker = Prequal::new().pool_size(size).unwrap().hot_quantile(quantile).unwrap()
            .hot_window(window).unwrap().removals_per_request(removals.into()).unwrap()
            .reuse_margin(delta).unwrap();
        // For the number of backends, which is not that of those that are left.
        let prepared = Picker::<()>::prepare(&picker, &Update::new(&set, &set)).unwrap();
        let mut model = Model {
            size, quantile, window, removals, limit,
            answers: Vec::new(), recent: VecDeque::new(), seen: 0, hot_above: None, removed: 0,
        };
        let start = start();
        // In microseconds, from when all answers are later than the start.
        let mut now = 2_000_000;
        for (count, (step, wait)) in steps.into_iter().enumerate() {
            now += wait * 1_000;
            let count = count as u64;
            match step {
                Step::Answer { slot, rif, latency, late } => {
                    // No two are alike, so that it does not matter which of two is first.
                    let at = now - late * 1_000 + count;
                    let latency = latency * 200 + count;
                    model.answer(Answer { slot, rif, latency, at, uses: 0 });
                    let load = crate::report(rif, latency);
                    answer(&picker, set.handle(slot), start + Duration::from_micros(at), load);
                }
                Step::Pick { out } => {
                    let mut masked = Masked::new(&set);
                    for &rank in &out {
 masked.mask_original(rank);
}
                    let at = start + Duration::from_micros(now + 999);
                    let picked = prepared.pick(&masked, &(), &mut Context::new().at(at).seed(seed));
                    let picked = picked.map(|rank| masked.unmasked(rank)).expect("some are left");
                    prop_assert!(picked < n && !out.contains(&picked));
                    if let Some(slot) = model.pick(now + 999, &out) {
                        prop_assert_eq!(picked, slot);
                    }
                }
            }
        }
    }
}
