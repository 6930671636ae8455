//! What is learnt from all backends together: how long requests take, what foretells it, and how
//! much of what is said can be believed.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use super::trend::{Level, Mean, Number, Trend};

/// Shared by a picker and those that are made from it.
#[derive(Default)]
pub(super) struct Learnt {
    /// How long a request takes that finds none of ours before it, in ticks.
    alone: Mean,
    /// How what was foretold of the others' load shows in that time.
    others: Trend,
    /// And how far it can be believed therefore.
    trust: Number,
    turn: AtomicU32,
    /// The sum over the backends of what was seen last of the others' load, in 2^-16, and how many
    /// they are.
    total: AtomicI64,
    seen: AtomicU32,
    /// Reported latency, by the load that it was reported for.
    latency: Level,
    /// Response times, by the load that was reported with them.
    response: Level,
    /// How the slowness that was reported shows in response times.
    slowness: Trend,
    trust_in_slowness: Number,
    /// The latest report of requests in flight.
    reported: Lately,
    /// The latest failure.
    failed: Lately,
}

/// When something happened last, if it did: half of the tick, plus one.
#[derive(Default)]
struct Lately(AtomicU32);

/// What of it a pick needs.
pub(super) struct Scale {
    /// The mean of what is seen of the others' load.
    pub(super) mean: f32,
    /// How much of the others' load counts.
    pub(super) trust: f32,
    /// How much of a backend's slowness counts.
    pub(super) slowness: f32,
    /// One over the ticks in which what was seen is more than half forgotten.
    pub(super) rate: f32,
}

/// How many samples averages remember, to the minus one.
const FEW: f32 = 0.01;
const MANY: f32 = 0.003;
const MOST: f32 = 0.001;

/// Noise in what foretells hides a part of how much it does; this much is put on.
const HIDDEN: f32 = 2.0;
/// Less than this is as good as none.
const LEAST: f32 = 0.1;

const UNIT: f32 = 65536.0;

impl Learnt {
    #[inline]
    pub(super) fn scale(&self, now: u32) -> Scale {
        let (trust, slowness) = if self.is_reported(now) {
            (1.0, self.trust_in_slowness.get())
        } else {
            (self.trust.get(), 0.0)
        };
        Scale {
            mean: self.mean(),
            trust,
            slowness,
            rate: self.rate(),
        }
    }

    /// Half of the mean time of a request is what it takes to forget more than half of what was
    /// seen: one over that.
    #[inline]
    pub(super) fn rate(&self) -> f32 {
        2.0 / self.alone()
    }

    /// The mean time of a request that meets none of ours, in ticks.
    pub(super) fn alone(&self) -> f32 {
        self.alone.get().max(1e-3)
    }

    /// Whether that is known.
    pub(super) fn knows_times(&self) -> bool {
        self.alone.count() > 0.0
    }

    pub(super) fn add_alone(&self, ticks: f32) {
        self.alone.add(ticks, FEW);
    }

    /// Whether something is to be foretold of a request, to learn from its response time: of each,
    /// as long as little is known, or response times foretell something; otherwise of each fourth;
    /// and not where reports say more.
    #[inline]
    pub(super) fn wants_to_foretell(&self, now: u32) -> bool {
        if self.is_reported(now) {
            return false;
        }
        // Of two threads that count at once one is forgotten, which does not matter.
        let turn = self.turn.load(Ordering::Relaxed);
        self.turn.store(turn.wrapping_add(1), Ordering::Relaxed);
        self.learns_from_each() || turn.is_multiple_of(4)
    }

    #[inline]
    pub(super) fn learns_from_each(&self) -> bool {
        const LITTLE: f32 = 256.0;
        self.trust.get() > 0.0 || self.others.count() < LITTLE
    }

    /// A request took so long, for which that load was foretold.
    pub(super) fn add_foretold(&self, foretold: f32, ticks: f32) {
        self.others.add(foretold, ticks / self.alone(), MANY);
        self.trust.set(trust(&self.others));
    }

    /// The mean over the backends of what was seen of the others' load.
    #[inline]
    pub(super) fn mean(&self) -> f32 {
        let total = self.total.load(Ordering::Relaxed) as f32 / UNIT;
        total.max(0.0) / self.seen.load(Ordering::Relaxed).max(1) as f32
    }

    /// It was that at some backend, and is this now.
    pub(super) fn replace_seen(&self, before: Option<f32>, now: f32) {
        let change = units(now) - before.map_or(0, units);
        self.total.fetch_add(change, Ordering::Relaxed);
        if before.is_none() {
            self.seen.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts anew.
    pub(super) fn set_seen(&self, seen: impl Iterator<Item = f32>) {
        let (total, count) = seen.fold((0, 0), |(total, count), seen| {
            (total + units(seen), count + 1)
        });
        self.total.store(total, Ordering::Relaxed);
        self.seen.store(count, Ordering::Relaxed);
    }

    /// Takes note that backends report their requests in flight.
    pub(super) fn note_report(&self, now: u32) {
        self.reported.happens(now);
    }

    /// Whether backends do.
    #[inline]
    pub(super) fn is_reported(&self, now: u32) -> bool {
        self.reported.happened(now)
    }

    /// Takes note that a backend fails.
    pub(super) fn note_failure(&self, now: u32) {
        self.failed.happens(now);
    }

    /// Whether any has failed for which it still counts.
    #[inline]
    pub(super) fn any_failing(&self, now: u32) -> bool {
        self.failed.happened(now)
    }

    /// Takes note of a latency that was reported for a load of so many requests; returns how long
    /// that is beside what the others say.
    pub(super) fn add_latency(&self, in_flight: f32, ticks: f32) -> f32 {
        self.latency.add(in_flight, ticks)
    }

    /// A request took so long where so many were reported, and where that slowness was known.
    pub(super) fn add_response(&self, in_flight: f32, ticks: f32, slowness: f32) {
        let beside_the_others = self.response.add(in_flight, ticks);
        self.slowness.add(slowness, beside_the_others, MOST);
        self.trust_in_slowness.set(trust(&self.slowness));
    }
}

/// How far that can be believed which a trend makes foretell something.
fn trust(trend: &Trend) -> f32 {
    let trust = HIDDEN * trend.slope();
    if trust < LEAST { 0.0 } else { trust.min(1.0) }
}

impl Lately {
    /// For how long it counts, in two ticks: more than a minute.
    const LASTS: u32 = 1 << 22;

    fn happens(&self, now: u32) {
        let half = (now >> 1) + 1;
        // Looks before it writes, and does that once in a while.
        if half.abs_diff(self.0.load(Ordering::Relaxed)) > Self::LASTS / 64 {
            self.0.store(half, Ordering::Relaxed);
        }
    }

    #[inline]
    fn happened(&self, now: u32) -> bool {
        let then = self.0.load(Ordering::Relaxed);
        then != 0 && ((now >> 1) + 1).abs_diff(then) < Self::LASTS
    }
}

fn units(requests: f32) -> i64 {
    (requests * UNIT) as i64
}
