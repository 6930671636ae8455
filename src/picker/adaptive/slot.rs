//! What is known of one backend: five words on one cache line.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::Handle;
use crate::picker::by_backend;

/// `Relaxed` all over: each word is a hint on its own, and a reader that finds two words of
/// different moments picks a little worse, once.
#[derive(Default)]
#[repr(align(64))]
pub(super) struct Slot {
    /// Which member this is of, and how many of this picker's requests are in flight there.
    own: AtomicU64,
    /// What was seen last of the others' load, and when.
    seen: AtomicU64,
    /// What is usually seen, and how slow it is beside the others.
    usual: Pair,
    /// What was foretold when the only request in flight was sent, and how slow it was thought to
    /// be before the latest report.
    foretold: Pair,
    /// How much a request counts here for its weight, and the share of failures.
    cost: Pair,
}

/// Two floats in one word.
#[derive(Default)]
struct Pair(AtomicU64);

/// Nothing was ever seen, or foretold.
const NONE: f32 = -1.0;

/// The latest look at a backend's load.
#[derive(Clone, Copy)]
pub(super) struct Seen {
    pub(super) others: f32,
    pub(super) at: u32,
}

impl by_backend::Slot for Slot {
    fn is_of(&self, backend: Handle) -> bool {
        name(self.own.load(Ordering::Relaxed)) == name_of(backend)
    }

    fn begin(&self, backend: Handle) {
        let nobody = u64::from(name_of(backend)) << 32;
        self.own.store(nobody, Ordering::Relaxed);
        self.see(Seen {
            others: NONE,
            at: 0,
        });
        self.usual.store(NONE, 1.0);
        self.foretold.store(NONE, 1.0);
        self.cost.store(1.0, 0.0);
    }
}

/// What tells a member from others that have had its slot; 0 is nobody.
fn name_of(backend: Handle) -> u32 {
    backend.generation().wrapping_add(1)
}

fn name(own: u64) -> u32 {
    (own >> 32) as u32
}

impl Slot {
    /// Requests of this picker in flight.
    #[inline]
    pub(super) fn own(&self) -> u32 {
        self.own.load(Ordering::Relaxed) as u32
    }

    /// One more; returns how many there were.
    #[inline]
    pub(super) fn enter(&self) -> u32 {
        self.own.fetch_add(1, Ordering::Relaxed) as u32
    }

    /// One less, of this very member.
    #[inline]
    pub(super) fn leave(&self, backend: Handle) {
        let mut own = self.own.load(Ordering::Relaxed);
        while name(own) == name_of(backend) && own as u32 > 0 {
            let left =
                self.own
                    .compare_exchange_weak(own, own - 1, Ordering::Relaxed, Ordering::Relaxed);
            match left {
                Ok(_) => return,
                Err(other) => own = other,
            }
        }
    }

    #[inline]
    pub(super) fn seen(&self) -> Option<Seen> {
        let word = self.seen.load(Ordering::Relaxed);
        let others = f32::from_bits((word >> 32) as u32);
        (others >= 0.0).then_some(Seen {
            others,
            at: word as u32,
        })
    }

    #[inline]
    pub(super) fn see(&self, Seen { others, at }: Seen) {
        let word = u64::from(others.to_bits()) << 32 | u64::from(at);
        self.seen.store(word, Ordering::Relaxed);
    }

    /// What is usually seen of the others' load, if anything was.
    #[inline]
    pub(super) fn usual(&self) -> Option<f32> {
        let usual = self.usual.load().0;
        (usual >= 0.0).then_some(usual)
    }

    pub(super) fn set_usual(&self, usual: f32) {
        self.usual.store(usual, self.slowness());
    }

    /// How long it takes beside the others with the same load: 1 is as long, 2 twice as long.
    #[inline]
    pub(super) fn slowness(&self) -> f32 {
        self.usual.load().1
    }

    /// Notes it; what it was before is kept until the next.
    pub(super) fn set_slowness(&self, slowness: f32) {
        let (usual, before) = self.usual.load();
        self.usual.store(usual, slowness);
        self.foretold.store(self.foretold.load().0, before);
    }

    /// How slow it was thought to be before the latest report.
    pub(super) fn slowness_before(&self) -> f32 {
        self.foretold.load().1
    }

    /// What was foretold of the others' load for the one request in flight.
    pub(super) fn foretold(&self) -> Option<f32> {
        let foretold = self.foretold.load().0;
        (foretold >= 0.0).then_some(foretold)
    }

    #[inline]
    pub(super) fn foretell(&self, others: Option<f32>) {
        let (_, before) = self.foretold.load();
        self.foretold.store(others.unwrap_or(NONE), before);
    }

    /// How much a request counts here, and the share of failures.
    #[inline]
    pub(super) fn cost(&self) -> (f32, f32) {
        self.cost.load()
    }

    pub(super) fn set_request_cost(&self, cost: f32) {
        self.cost.store(cost, self.cost.load().1);
    }

    pub(super) fn set_failing(&self, failing: f32) {
        self.cost.store(self.cost.load().0, failing);
    }
}

impl Pair {
    #[inline]
    fn load(&self) -> (f32, f32) {
        let word = self.0.load(Ordering::Relaxed);
        (
            f32::from_bits((word >> 32) as u32),
            f32::from_bits(word as u32),
        )
    }

    #[inline]
    fn store(&self, first: f32, second: f32) {
        let word = u64::from(first.to_bits()) << 32 | u64::from(second.to_bits());
        self.0.store(word, Ordering::Relaxed);
    }
}
