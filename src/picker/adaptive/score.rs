//! What a request would meet at a backend, as far as that is known.

use std::time::Duration;

use super::learnt::Scale;
use super::slot::Slot;
use super::ticks::{age, fade, ticks};

/// What a backend's own average weighs beside that of all.
const USUAL_OF_ITS_OWN: f32 = 0.6;
/// For how long it counts what is usual at a backend, and until when it is looked at again, in half
/// the time that a request takes.
pub(super) const USUAL_LASTS: f32 = 1000.0;
const FORGOTTEN: f32 = 4.0 * USUAL_LASTS;
/// For how much more a backend counts that only fails, and how long, in ticks, that stays in mind.
const FAILURES: f32 = 64.0;
const FAILURES_LAST: f32 = ticks(Duration::from_secs(10));

/// What a request would meet there, in requests of mean weight.
#[inline]
pub(super) fn score(slot: &Slot, cost: f32, scale: &Scale, now: u32) -> f32 {
    let others = scale.trust * others(slot, scale.mean, scale.rate, now);
    let slowness = 1.0 + scale.slowness * (slot.slowness() - 1.0);
    let requests = (slot.own() as f32 + others) * cost;
    let score = (requests + 1.0) * slowness.max(0.1);
    match slot.failing() {
        None => score,
        Some((share, at)) => score * punishment(share, age(at, now)),
    }
}

#[cold]
fn punishment(share: f32, age: f32) -> f32 {
    let share = share * fade(age / FAILURES_LAST);
    1.0 + FAILURES * share * share
}

/// The load that others put on it, as far as that is known: what was seen is half forgotten after
/// the time of a request, what is usual after that of hundreds. Whoever has not been looked at for
/// thousands counts as idle, so that somebody looks, and nobody is shunned for good.
#[inline]
pub(super) fn others(slot: &Slot, mean: f32, rate: f32, now: u32) -> f32 {
    let usual = slot.usual().unwrap_or(mean);
    let Some(seen) = slot.seen() else {
        // Low enough to be looked at.
        return (1.0 - USUAL_OF_ITS_OWN) * mean;
    };
    let age = age(seen.at, now) * rate;
    if age > FORGOTTEN {
        return 0.0;
    }
    let usual = mean + USUAL_OF_ITS_OWN * (usual - mean) * fade(age / USUAL_LASTS);
    usual + (seen.others - usual) * fade(age)
}
