//! Pages to read, beside the reference.

#[doc = include_str!("../docs/design.md")]
pub mod design {}

#[doc = include_str!("../docs/high_availability.md")]
pub mod high_availability {}

#[doc = include_str!("../docs/hashing.md")]
pub mod hashing {}

#[doc = include_str!("../docs/health.md")]
pub mod health {}

#[doc = include_str!("../docs/from_tower.md")]
pub mod from_tower {}
