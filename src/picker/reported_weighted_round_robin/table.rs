use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Settings;
use super::stride::Stride;
use super::weight::ReportedWeight;
use crate::backend::Handle;
use crate::picker::Update;
use crate::picker::by_backend::ByBackend;

/// What a picker was prepared with for one set: what is known of its members, and whose turn it is.
pub(super) struct Table {
    members: ByBackend<ReportedWeight>,
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
        let members = ByBackend::of(update.members(), before.map(|before| &before.members));
        let eligible = update.eligible();
        let eligible: Box<[_]> = (0..eligible.len())
            .filter(|&rank| eligible.weight(rank) > 0)
            .filter_map(|rank| {
                let handle = eligible.handle(rank);
                let known = members.shared(handle)?;
                Some((handle.slot() as u32, Arc::clone(known)))
            })
            .collect();
        Self {
            members,
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
    pub(super) fn member(&self, handle: Handle) -> Option<&ReportedWeight> {
        self.members.get(handle)
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
