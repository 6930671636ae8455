use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Settings;
use super::stride::Stride;
use super::weight::ReportedWeight;
use crate::backend::Handle;
use crate::picker::Update;

/// What a picker was prepared with for one set: what is known of its members, and whose turn it is.
pub(super) struct Table {
    /// Of all members, by their slots.
    members: Box<[Arc<ReportedWeight>]>,
    /// Of those that can be picked, with their slots.
    eligible: Box<[(u32, Arc<ReportedWeight>)]>,
    stride: Stride,
    /// When the weights are to be put in again, in nanoseconds, or [`IN_PROGRESS`]. `Relaxed`: what
    /// is put in needs no order.
    due: AtomicU64,
}

const IN_PROGRESS: u64 = u64::MAX;

impl Table {
    /// Keeps what was reported of those that were members before.
    pub(super) fn new(update: &Update<'_>, before: Option<&Self>) -> Self {
        let weight = |handle: Handle| {
            let known = before.and_then(|before| before.member(handle));
            known.map_or_else(|| Arc::new(ReportedWeight::new(handle)), Arc::clone)
        };
        let members = update.members();
        let mut members: Vec<_> = (0..members.len())
            .map(|rank| weight(members.handle(rank)))
            .collect();
        members.sort_by_key(|weight| weight.handle().slot());
        let eligible = update.eligible();
        let eligible: Box<[_]> = (0..eligible.len())
            .filter(|&rank| eligible.weight(rank) > 0)
            .map(|rank| {
                let handle = eligible.handle(rank);
                let known = find(&members, handle).map_or_else(|| weight(handle), Arc::clone);
                (handle.slot() as u32, known)
            })
            .collect();
        Self {
            members: members.into(),
            stride: Stride::new(eligible.len()),
            eligible,
            due: AtomicU64::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.eligible.len()
    }

    /// The slot of the backend whose turn it is, if it takes it.
    #[inline]
    pub(super) fn slot(&self, turn: u64) -> Option<usize> {
        let place = self.stride.place(turn)?;
        self.eligible.get(place).map(|&(slot, _)| slot as usize)
    }

    /// What is known of a member.
    pub(super) fn member(&self, handle: Handle) -> Option<&Arc<ReportedWeight>> {
        find(&self.members, handle)
    }

    /// Puts the weights in, if it is time, and nobody else does.
    #[inline]
    pub(super) fn update(&self, now: u64, settings: Settings) {
        let due = self.due.load(Ordering::Relaxed);
        if now >= due {
            self.update_now(due, now, settings);
        }
    }

    #[cold]
    fn update_now(&self, due: u64, now: u64, settings: Settings) {
        let begun =
            self.due
                .compare_exchange(due, IN_PROGRESS, Ordering::Relaxed, Ordering::Relaxed);
        if begun.is_ok() {
            self.stride
                .set(|place| self.eligible[place].1.usable(now, settings.periods));
            let next = now.saturating_add(settings.update).min(IN_PROGRESS - 1);
            self.due.store(next, Ordering::Relaxed);
        }
    }
}

fn find(members: &[Arc<ReportedWeight>], handle: Handle) -> Option<&Arc<ReportedWeight>> {
    let slot_of = |member: &Arc<ReportedWeight>| member.handle().slot();
    // The slots of a pool are nearly the places.
    let guess = members.get(handle.slot());
    let guess = guess.filter(|member| slot_of(member) == handle.slot());
    let search = || {
        let at = members.binary_search_by_key(&handle.slot(), slot_of).ok();
        at.and_then(|at| members.get(at))
    };
    // The slot may be another backend's by now.
    let found = guess.or_else(search);
    found.filter(|member| member.handle() == handle)
}
