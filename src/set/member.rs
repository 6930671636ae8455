use std::sync::Arc;
use std::time::Instant;

use super::Rules;
use super::slow_start::share;
use super::tiers::Standing;
use crate::backend::{
    BackendInfo, Condition, Counts, Handle, Live, Probed, Record, Settings, State, Why,
};
use crate::time::since_epoch;

/// One member, as the pool keeps it and as every snapshot shows it.
pub(crate) struct Member<T> {
    /// That of the live part, here to be read without going there.
    pub(crate) handle: Handle,
    pub(crate) live: Arc<Live>,
    pub(crate) value: T,
    pub(super) settings: Settings,
    pub(crate) condition: Condition,
}

impl<T> Member<T> {
    pub(crate) fn state(&self) -> State {
        self.condition.state(&self.settings)
    }

    /// What the rest of the world can see of its condition.
    pub(super) fn seen(&self) -> (State, Option<Arc<Why>>, Option<Instant>) {
        let (condition, settings) = (&self.condition, &self.settings);
        let why = condition.why(settings).cloned();
        (self.state(), why, condition.until(settings))
    }

    pub(super) fn looks_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.live, &other.live)
            && self.settings == other.settings
            && self.condition == other.condition
    }

    pub(super) fn standing(&self) -> Standing<'_> {
        Standing {
            state: self.state(),
            founding: self.condition.probed == Probed::Founding,
            priority: self.settings.priority(),
            zone: self.settings.zone(),
            weight: self.settings.weight,
        }
    }

    pub(super) fn info(&self, now: Instant, eligible: bool, rules: &Rules) -> BackendInfo {
        let (condition, settings) = (&self.condition, &self.settings);
        let share = if eligible {
            share(self.live.guard(), rules.slow_start, since_epoch(now))
        } else {
            0.0
        };
        let record = self.live.record();
        BackendInfo {
            id: Arc::clone(self.live.shared_id()),
            handle: self.handle,
            settings: settings.clone(),
            state: self.state(),
            eligible,
            since: condition.since(),
            why: condition.why(settings).cloned(),
            until: condition.until(settings),
            share,
            counts: record.map_or_else(Counts::default, Record::counts),
            in_flight: self.live.in_flight(),
            max_in_flight: self.live.max_in_flight(),
            latency: self.live.latency(now),
            latencies: record.and_then(|record| record.kept_latencies(since_epoch(now))),
        }
    }
}

impl<T: Clone> Clone for Member<T> {
    fn clone(&self) -> Self {
        Self {
            handle: self.handle,
            live: Arc::clone(&self.live),
            value: self.value.clone(),
            settings: self.settings.clone(),
            condition: self.condition.clone(),
        }
    }
}

/// The part of [`BackendSet`] that is a question to the member at a rank.
macro_rules! ask_the_member {
    () => {
        fn id(&self, rank: usize) -> &str {
            self.member(rank).map_or("", |member| member.live.id())
        }

        fn weight(&self, rank: usize) -> u32 {
            self.member(rank).map_or(0, |member| member.settings.weight)
        }

        fn in_flight(&self, rank: usize) -> usize {
            self.member(rank)
                .map_or(0, |member| member.live.in_flight())
        }

        fn latency(&self, rank: usize, now: Instant) -> Option<Duration> {
            self.member(rank)?.live.latency(now)
        }

        fn priority(&self, rank: usize) -> u32 {
            self.member(rank)
                .map_or(0, |member| member.settings.priority())
        }

        fn zone(&self, rank: usize) -> Option<&str> {
            self.member(rank)?.settings.zone()
        }

        fn hash_key(&self, rank: usize) -> &str {
            self.member(rank).map_or("", |member| {
                member.settings.hash_key().unwrap_or(member.live.id())
            })
        }

        fn metadata(&self, rank: usize, key: &str) -> Option<&str> {
            self.member(rank)?.settings.metadata(key)
        }

        fn handle(&self, rank: usize) -> Handle {
            let member = self.member(rank);
            member.map_or(Handle::of_slot(rank), |member| member.handle)
        }
    };
}
pub(super) use ask_the_member;
