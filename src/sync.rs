//! The atomics and locks of this crate. Under `--cfg evenkeel_loom` they are loom's, which lets
//! `backend/loom_tests.rs` run every interleaving of what is built from them.

#[cfg(evenkeel_loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(evenkeel_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(evenkeel_loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(evenkeel_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Stands between two accesses with `SeqCst`, which need nothing else to be in one order. Loom takes
/// them for `AcqRel`, and knows that order of fences only.
#[inline]
pub(crate) fn ordered() {
    #[cfg(evenkeel_loom)]
    fence(Ordering::SeqCst);
}
