//! Time in units of 2^13 ns, about 8 µs, in 32 bits.
//!
//! They wrap around after ten hours: of what nobody has looked at since, a little is then believed
//! again, for some minutes.

use std::time::Duration;

const TICK: u32 = 13;
/// What seems to be as old as that is of a few minutes hence.
const AHEAD: u32 = u32::MAX - (1 << 25);

/// Nanoseconds since the epoch in ticks.
#[inline]
pub(super) fn tick(nanos: u64) -> u32 {
    (nanos >> TICK) as u32
}

pub(super) const fn ticks(time: Duration) -> f32 {
    time.as_nanos() as f32 / (1 << TICK) as f32
}

#[inline]
pub(super) fn age(then: u32, now: u32) -> f32 {
    let age = now.wrapping_sub(then);
    // Another thread's clock can be a little ahead.
    if age > AHEAD { 0.0 } else { age as f32 }
}

/// About exp(-age), without the cost of it.
#[inline]
pub(super) fn fade(age: f32) -> f32 {
    1.0 / (1.0 + age + 0.5 * age * age)
}
