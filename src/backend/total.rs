use std::ptr;
use std::sync::Arc;

use crate::random::mix;
use crate::sync::{AtomicU64, Ordering};

/// How many requests are in flight at all members of a pool together.
///
/// Each thread adds to a stripe that it shares with few others, so that requests of different
/// threads do not fight for one cache line. A request may begin on one stripe and end on another:
/// only the sum means something, and that wraps around into place.
#[derive(Clone, Debug)]
pub(crate) struct Total(Arc<[Stripe; STRIPES]>);

#[derive(Debug)]
#[repr(align(128))]
struct Stripe(AtomicU64);

const STRIPES: usize = if cfg!(evenkeel_loom) { 2 } else { 8 };

impl Total {
    pub(crate) fn new() -> Self {
        Self(Arc::new(std::array::from_fn(|_| Stripe(AtomicU64::new(0)))))
    }

    /// Adds them up. `Relaxed`, here and below: nothing is published through it, and a picker takes
    /// it for what it was a moment ago.
    ///
    /// Stripes are read one after the other, and a reader can be suspended in between. So they are
    /// read until two sums agree; if they never do, the smallest counts.
    pub(crate) fn sum(&self) -> usize {
        const READINGS: usize = 4;
        let mut least = self.reading();
        for _ in 1..READINGS {
            let again = self.reading();
            if again == least {
                break;
            }
            least = least.min(again);
        }
        least
    }

    fn reading(&self) -> usize {
        let stripes = self.0.iter();
        let sum = stripes.fold(0_u64, |sum, Stripe(count)| {
            sum.wrapping_add(count.load(Ordering::Relaxed))
        });
        // Less than nothing is when only the end of a request was seen.
        usize::try_from(sum.cast_signed()).unwrap_or(0)
    }

    pub(super) fn add(&self, requests: u32) {
        self.stripe()
            .fetch_add(u64::from(requests), Ordering::Relaxed);
    }

    pub(super) fn sub(&self, requests: u32) {
        self.stripe()
            .fetch_sub(u64::from(requests), Ordering::Relaxed);
    }

    fn stripe(&self) -> &AtomicU64 {
        thread_local! {
            static HERE: u8 = const { 0 };
        }
        // Where a thread has its things tells it from others.
        let thread = HERE.with(|here| ptr::from_ref(here) as u64);
        &self.0[mix(thread) as usize % STRIPES].0
    }
}
