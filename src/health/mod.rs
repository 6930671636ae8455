//! Whether backends are well: probes that ask them, and what their traffic shows.
//!
//! [`Health`] watches a pool. What it finds out decides who is eligible, on the write side, for
//! every picker. What a pool makes of it (panic, tiers, zones, slow start) are its
//! [`Rules`](crate::set::Rules), which hold with and without anybody who watches.
//!
//! ```text
//! requests ──> outcomes, latency ──> Ejection ──┐
//! probes ────> answers ────> ProbeSettings ─────┤──> State of each backend ──> Rules ──> who is eligible
//! an operator: drain, force_up, force_down ─────┘
//! ```
//!
//! An operator's word counts first, then that of the probes, then what the traffic showed.
//! [`Pool::list`](crate::Pool::list), [`status`](crate::Pool::status) and
//! [`events`](crate::Pool::events) tell what is thought of each, since when, why and until when.
//!
//! Without tokio there are no probes, and a pool's traffic is watched by
//! [`Ejection::watch`].
//!
//! # Cost
//!
//! Nothing for a pick. A finished request costs an addition or two, about 5 ns; with
//! [`Ejection::latency`], about 10 ns more.

#[cfg(feature = "tower")]
mod checks;
mod compare;
mod ejection;
mod outliers;
#[cfg(feature = "tower")]
mod probe;
#[cfg(feature = "tower")]
mod settings;
mod traffic;
#[cfg(feature = "tower")]
mod watch;
#[cfg(feature = "tower")]
mod watching;

pub use self::ejection::Ejection;
#[cfg(feature = "tower")]
pub use self::probe::{Answer, Probe, Target, TcpProbe};
#[cfg(feature = "http")]
pub use self::probe::{GrpcProbe, HttpProbe};
#[cfg(feature = "tower")]
pub use self::settings::ProbeSettings;
pub use self::traffic::EjectionWatch;
#[cfg(feature = "tower")]
pub use self::watching::{Ended, Health, Watching};
