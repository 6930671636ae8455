//! etcd as a source of backends for [evenkeel](https://docs.rs/evenkeel), and a registrar for the
//! backends' side.
//!
//! ```text
//!  backend ── Registrar ── lease, put ──> etcd  <── read, then watch ── Etcd ── Follow ──> Pool
//! ```
//!
//! Each key under a prefix is a backend: what is after the prefix is its id, and the value is its
//! address, or a JSON object as [`read_backend`](evenkeel::config::read_backend) reads it.
//!
//! ```no_run
//! use evenkeel::discover::Follow;
//! use evenkeel::http::Address;
//! use evenkeel::Pool;
//! use evenkeel_etcd::Etcd;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), evenkeel::InvalidSetting> {
//! let etcd = Etcd::new(["http://10.0.0.1:2379", "http://10.0.0.2:2379"], "/services/api/")?;
//! let pool = Pool::<Address>::new();
//! let _feeding = Follow::new(etcd).spawn(&pool);
//! # Ok(())
//! # }
//! ```
//!
//! # Versions
//!
//! etcd 3.4 or later. The public API has [`ConnectOptions`] of etcd-client 0.21, which has TLS and
//! users.

mod cluster;
mod entries;
mod registrar;
mod registration;
mod session;
mod source;

pub use etcd_client::ConnectOptions;

pub use self::registrar::Registrar;
pub use self::registration::{Registration, RegistrationState};
pub use self::source::Etcd;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
