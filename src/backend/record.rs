use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::traffic::Traffic;
use super::{Alarms, Counts, Handle, Latencies, Outcome};
use crate::sync::{AtomicU32, AtomicU64, Ordering};

/// What has become of a backend's requests, from the moment that somebody watches its health.
///
/// A finished request costs one addition, and a look at the count of failures in a row. The counts
/// are statistics, each read on its own, so `Relaxed` is enough for all of them. Only `wants` says
/// that something else is to be looked at, which whoever takes it then has to see.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Record {
    // These two are all that a success touches, and lie side by side.
    successes: AtomicU64,
    in_a_row: AtomicU32,
    gateway_in_a_row: AtomicU32,
    rejected: AtomicU64,
    cancelled: AtomicU64,
    /// Of the sampled requests, in nanoseconds, and how many there were.
    latency: AtomicU64,
    measured: AtomicU64,
    /// A request that was given up sooner says nothing about latency.
    slow: AtomicU64,
    /// The latest time of which a response said that it should not be asked before.
    retry_at: AtomicU64,
    /// What the watcher has to look at, as bits.
    wants: AtomicU32,
    handle: Handle,
    /// Set before anything is recorded.
    alarms: OnceLock<Arc<Alarms>>,
    /// The same. Boxed, since a backend may be here for other reasons.
    traffic: OnceLock<Box<Traffic>>,
}

/// Why the watcher has to look at a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wants(u32);

impl Wants {
    pub(crate) const IN_A_ROW: Self = Self(1);
    pub(crate) const GATEWAY_IN_A_ROW: Self = Self(2);
    pub(crate) const REJECTED: Self = Self(4);
    pub(crate) const DEGRADED: Self = Self(8);
    pub(crate) const TRIAL: Self = Self(16);

    pub(crate) fn contains(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Record {
    pub(super) fn new(handle: Handle) -> Self {
        Self {
            successes: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
            cancelled: AtomicU64::new(0),
            in_a_row: AtomicU32::new(0),
            gateway_in_a_row: AtomicU32::new(0),
            latency: AtomicU64::new(0),
            measured: AtomicU64::new(0),
            slow: AtomicU64::new(0),
            retry_at: AtomicU64::new(0),
            wants: AtomicU32::new(0),
            handle,
            alarms: OnceLock::new(),
            traffic: OnceLock::new(),
        }
    }

    /// To be called before anything is recorded: where to leave word, and whether latencies are kept.
    pub(super) fn begin(&self, alarms: &Arc<Alarms>, latencies: bool) {
        self.alarms.get_or_init(|| Arc::clone(alarms));
        let traffic = self.traffic.get_or_init(|| Box::new(Traffic::new()));
        if latencies {
            traffic.keep_latencies();
        }
    }

    #[inline]
    pub(super) fn note(&self, outcome: Outcome) {
        match outcome {
            Outcome::Success => {
                self.successes.fetch_add(1, Ordering::Relaxed);
                // Looks before it writes: the usual case only reads.
                if self.in_a_row.load(Ordering::Relaxed) != 0 {
                    self.in_a_row.store(0, Ordering::Relaxed);
                    self.gateway_in_a_row.store(0, Ordering::Relaxed);
                }
            }
            other => self.note_other(other),
        }
    }

    #[cold]
    fn note_other(&self, outcome: Outcome) {
        match outcome {
            Outcome::Success => {}
            Outcome::Cancelled => {
                self.cancelled.fetch_add(1, Ordering::Relaxed);
            }
            Outcome::Rejected => {
                self.rejected.fetch_add(1, Ordering::Relaxed);
                self.raise(Wants::REJECTED);
            }
            Outcome::Failure(failure) => {
                if let Some(traffic) = self.traffic.get() {
                    traffic.failed(failure);
                }
                let failures = self.in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                // At each one from there on: if it cannot be ejected now, perhaps then.
                let Some(alarms) = self.alarms.get() else {
                    return;
                };
                if failures >= alarms.in_a_row() {
                    self.raise(Wants::IN_A_ROW);
                }
                if !failure.is_gateway() {
                    self.gateway_in_a_row.store(0, Ordering::Relaxed);
                    return;
                }
                let failures = self.gateway_in_a_row.fetch_add(1, Ordering::Relaxed) + 1;
                if failures >= alarms.gateway_in_a_row() {
                    self.raise(Wants::GATEWAY_IN_A_ROW);
                }
            }
        }
    }

    /// The time to a response head, or to giving up, which was `now`.
    pub(super) fn note_latency(&self, nanos: u64, outcome: Outcome, now: u64) {
        if let Some(traffic) = self.traffic.get() {
            traffic.took(nanos, outcome, now);
        }
        if outcome != Outcome::Cancelled || nanos > self.slow.load(Ordering::Relaxed) {
            self.latency.fetch_add(nanos, Ordering::Relaxed);
            self.measured.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn retry_at(&self, nanos: u64) {
        self.retry_at.fetch_max(nanos, Ordering::Relaxed);
    }

    pub(super) fn raise(&self, want: Wants) {
        // Without anybody who takes them they would gather.
        if let Some(alarms) = self.alarms.get().filter(|alarms| alarms.are_heard())
            && self.wants.fetch_or(want.0, Ordering::Release) == 0
        {
            alarms.raise(self.handle);
        }
    }

    pub(crate) fn take_wants(&self) -> Wants {
        Wants(self.wants.swap(0, Ordering::Acquire))
    }

    pub(crate) fn counts(&self) -> Counts {
        let failures = self.traffic.get().map(|traffic| traffic.failures());
        Counts {
            successes: self.successes.load(Ordering::Relaxed),
            failures: failures.unwrap_or_default(),
            rejected: self.rejected.load(Ordering::Relaxed),
            cancelled: self.cancelled.load(Ordering::Relaxed),
        }
    }

    /// How long its requests take at `now`, in nanoseconds, if that is kept.
    pub(crate) fn kept_latencies(&self, now: u64) -> Option<Latencies> {
        self.traffic.get()?.latencies(now)
    }

    pub(crate) fn in_a_row(&self) -> u32 {
        self.in_a_row.load(Ordering::Relaxed)
    }

    pub(crate) fn gateway_in_a_row(&self) -> u32 {
        self.gateway_in_a_row.load(Ordering::Relaxed)
    }

    /// It begins anew.
    pub(crate) fn forget_failures(&self) {
        self.in_a_row.store(0, Ordering::Relaxed);
        self.gateway_in_a_row.store(0, Ordering::Relaxed);
    }

    /// The sum of all latencies so far in nanoseconds, and their number.
    pub(crate) fn latencies(&self) -> (u64, u64) {
        let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (load(&self.latency), load(&self.measured))
    }

    pub(crate) fn set_slow(&self, latency: Duration) {
        let nanos = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.slow.store(nanos, Ordering::Relaxed);
    }

    /// In nanoseconds since the epoch; it is heeded once.
    pub(crate) fn take_retry_at(&self) -> u64 {
        self.retry_at.swap(0, Ordering::Relaxed)
    }
}
