use std::cell::RefCell;
use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::{Candidate, ExplainedPick};
use crate::backend::Handle;
use crate::set::BackendSet;

/// A set that takes down at whom a picker looks. It answers as the set inside does.
pub(super) struct Noting<'a> {
    set: &'a dyn BackendSet,
    now: Instant,
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    ranks: HashSet<usize>,
    candidates: Vec<Candidate>,
}

impl<'a> Noting<'a> {
    pub(super) fn new(set: &'a dyn BackendSet, now: Instant) -> Self {
        Self {
            set,
            now,
            seen: RefCell::default(),
        }
    }

    /// What the picker has done, who has this rule and picked that rank.
    pub(super) fn explain(self, rule: &'static str, picked: Option<usize>) -> ExplainedPick {
        let picked = picked.filter(|&rank| rank < self.set.len());
        let mut seen = self.seen.into_inner();
        let candidate = picked.map(|rank| candidate(self.set, rank, self.now));
        // It is listed even if it was found in a table, without a look at anybody.
        if let Some(candidate) = &candidate
            && seen.candidates.iter().all(|other| other.id != candidate.id)
        {
            seen.candidates.push(candidate.clone());
        }
        seen.ranks.extend(picked);
        ExplainedPick {
            rule,
            eligible: self.set.len(),
            looked_at: seen.ranks.len(),
            candidates: seen.candidates,
            picked: candidate.map(|candidate| candidate.id),
        }
    }

    fn note(&self, rank: usize) {
        let mut seen = self.seen.borrow_mut();
        let Seen { ranks, candidates } = &mut *seen;
        let is_new = rank < self.set.len() && ranks.insert(rank);
        if is_new && candidates.len() < ExplainedPick::MAX_CANDIDATES {
            candidates.push(candidate(self.set, rank, self.now));
        }
    }
}

fn candidate(set: &dyn BackendSet, rank: usize, now: Instant) -> Candidate {
    Candidate {
        id: set.id(rank).into(),
        in_flight: set.in_flight(rank),
        weight: set.weight(rank),
        latency: set.latency(rank, now),
    }
}

impl BackendSet for Noting<'_> {
    fn len(&self) -> usize {
        self.set.len()
    }

    fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    fn id(&self, rank: usize) -> &str {
        self.set.id(rank)
    }

    fn weight(&self, rank: usize) -> u32 {
        self.note(rank);
        self.set.weight(rank)
    }

    fn in_flight(&self, rank: usize) -> usize {
        self.note(rank);
        self.set.in_flight(rank)
    }

    fn latency(&self, rank: usize, now: Instant) -> Option<Duration> {
        self.note(rank);
        self.set.latency(rank, now)
    }

    fn priority(&self, rank: usize) -> u32 {
        self.note(rank);
        self.set.priority(rank)
    }

    fn zone(&self, rank: usize) -> Option<&str> {
        self.note(rank);
        self.set.zone(rank)
    }

    fn hash_key(&self, rank: usize) -> &str {
        self.set.hash_key(rank)
    }

    fn metadata(&self, rank: usize, key: &str) -> Option<&str> {
        self.note(rank);
        self.set.metadata(rank, key)
    }

    /// A picker that has a table of its own asks for no more.
    fn handle(&self, rank: usize) -> Handle {
        self.note(rank);
        self.set.handle(rank)
    }

    fn rank_of(&self, slot: usize) -> Option<usize> {
        self.set.rank_of(slot)
    }

    fn total_weight(&self) -> u64 {
        self.set.total_weight()
    }

    fn total_in_flight(&self) -> usize {
        self.set.total_in_flight()
    }

    fn least_in_flight(&self, random: u64) -> Option<usize> {
        let least = self.set.least_in_flight(random);
        if let Some(rank) = least {
            self.note(rank);
        }
        least
    }
}
