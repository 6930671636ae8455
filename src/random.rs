//! Random bits made into what is needed of them.

/// Maps 64 random bits to a number below `end` (to 0 for 0), evenly to within `end` / 2^64.
pub(crate) fn below(random: u64, end: u64) -> u64 {
    ((u128::from(random) * u128::from(end)) >> 64) as u64
}
