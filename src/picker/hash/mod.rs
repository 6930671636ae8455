//! Picking by key: the same key, the same backend, while backends come and go.
//!
//! Caches stay warm, sessions and shards stay put. [`Keyed`] is the picker; it is given an
//! algorithm and a [`Key`]: what part of a request counts.
//!
//! | when | use |
//! | --- | --- |
//! | the usual case: even shares, the fastest | [`Maglev`] |
//! | no other key may move when one backend comes or goes, many backends, small weights | [`RingHash`] |
//! | the same, and even shares, up to some hundred backends | [`Rendezvous`] |
//! | shards that never change | [`Modulo`] |
//! | to move over without losing a warm cache | [`NginxHash`], [`NginxConsistent`], [`NginxIpHash`], [`Libketama`], [`EnvoyRingHash`], [`EnvoyMaglev`] |
//!
//! [`HashAlgorithm`] chooses among them at run time, by name. The [guide](crate::guide::hashing)
//! has measurements.
//!
//! A key whose backend is out goes to its next choice, and comes back with its backend; see
//! [`Keyed`]. With a [bound](Keyed::bounded_load), so does what would overload a backend.
//!
//! # Agreement
//!
//! Our own algorithms depend on hash keys, weights, and keys alone: programs that see the same
//! members agree, whatever the order in which these joined. [`Modulo`] and NGINX's plain hashes
//! depend on the order, too. The hashes are part of the interface: a change of them would be a new
//! major version.

mod algorithm;
mod bound;
mod envoy;
mod key;
mod keyed;
mod libketama;
mod maglev;
mod modulo;
mod nginx;
mod place;
mod ranking;
mod rendezvous;
mod ring;
mod ring_hash;
mod slots;
mod table;

pub use self::algorithm::HashAlgorithm;
pub use self::envoy::{EnvoyMaglev, EnvoyRingHash};
pub use self::key::{Key, KeyBytes, KeyOf, WholeRequest, key_of};
pub use self::keyed::Keyed;
pub use self::libketama::Libketama;
pub use self::maglev::Maglev;
pub use self::modulo::Modulo;
pub use self::nginx::{NginxConsistent, NginxHash, NginxIpHash};
pub use self::rendezvous::Rendezvous;
pub use self::ring_hash::RingHash;
pub use self::table::Table;
