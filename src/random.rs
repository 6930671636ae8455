//! Random bits made into what is needed of them.

/// Maps 64 random bits to a number below `end` (to 0 for 0), evenly to within `end` / 2^64.
pub(crate) fn below(random: u64, end: u64) -> u64 {
    ((u128::from(random) * u128::from(end)) >> 64) as u64
}

/// 2^64 divided by the golden ratio: its multiples spread evenly.
pub(crate) const PHI: u64 = 0x9e37_79b9_7f4a_7c15;

/// Makes seeds that resemble each other, such as 1 and 2, into numbers that do not: the finaliser
/// of splitmix64.
pub(crate) fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_add(PHI);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}
