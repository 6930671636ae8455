//! Pages to read, beside the reference.

#[doc = include_str!("../docs/design.md")]
pub mod design {}

// Its examples need these features.
#[cfg(any(not(doctest), all(feature = "load-reports", feature = "sim")))]
#[doc = include_str!("../docs/choosing.md")]
#[doc = include_str!("../docs/choosing.svg")]
pub mod choosing {}

#[doc = include_str!("../docs/high_availability.md")]
pub mod high_availability {}

#[doc = include_str!("../docs/fleets.md")]
pub mod fleets {}

#[doc = include_str!("../docs/hashing.md")]
pub mod hashing {}

#[doc = include_str!("../docs/health.md")]
pub mod health {}

#[doc = include_str!("../docs/interop.md")]
pub mod interop {}

#[doc = include_str!("../docs/from_tower.md")]
pub mod from_tower {}
