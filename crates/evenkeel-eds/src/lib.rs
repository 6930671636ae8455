//! Envoy's endpoint discovery service (EDS) as a source of backends for
//! [evenkeel](https://docs.rs/evenkeel).
//!
//! A control plane that tells Envoy, or gRPC's clients, where a cluster's endpoints are tells a pool the
//! same: over xDS version 3, on a stream of its own for each cluster (not over ADS).
//!
//! ```no_run
//! use evenkeel::Pool;
//! use evenkeel::discover::Follow;
//! use evenkeel::http::Address;
//! use evenkeel_eds::{Eds, Node};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), evenkeel::InvalidSetting> {
//! let eds = Eds::new("http://10.0.0.1:18000", "shop")?.node(Node::new("shop-7f9c").cluster("web"));
//! let pool = Pool::<Address>::new();
//! let _feeding = Follow::new(eds).spawn(&pool);
//! # Ok(())
//! # }
//! ```
//!
//! # What becomes of an assignment
//!
//! | EDS | evenkeel |
//! | --- | --- |
//! | `address` | the id, as `10.0.0.1:80` or `[::1]:80`, and the value, an [`Address`](evenkeel::http::Address) |
//! | `hostname` | the address's server name, for TLS; metadata `envoy.hostname` |
//! | `load_balancing_weight` of an endpoint | the weight; 1 if there is none |
//! | `priority`, 0 to 128, gaps allowed | the priority |
//! | `locality.zone` | the zone, if it is not empty |
//! | `locality.region`, `.sub_zone` | metadata `envoy.region`, `envoy.sub_zone` |
//! | `load_balancing_weight` of a locality | metadata `envoy.locality_weight`; part of the weight with [`LocalityWeights::Multiplied`], where `envoy.weight` is the endpoint's own |
//! | `health_status` `UNKNOWN`, `HEALTHY`, and what is unknown | [`Hint::Healthy`](evenkeel::backend::Hint) |
//! | `DEGRADED` | `Hint::Degraded` |
//! | `UNHEALTHY`, `TIMEOUT` | `Hint::Unhealthy` |
//! | `DRAINING` | `Hint::Draining` |
//! | `health_status` as it is | metadata `envoy.health_status`, unless it is `UNKNOWN` |
//! | `metadata.filter_metadata` | metadata such as `envoy.lb/version`; what is no string as JSON |
//! | `metadata.typed_filter_metadata` | metadata such as `NAME/@type`: its type, not its content |
//! | `metadata` of the locality | the same, with `envoy.locality/` before it |
//! | `additional_addresses` | metadata `envoy.additional_addresses`, separated by commas |
//! | `health_check_config` | metadata `envoy.health_check.port`, `.hostname`, `.address`, `.disabled` |
//! | `observability_name`, `proximity` | metadata `envoy.observability_name`, `envoy.proximity` |
//! | a `protocol` other than TCP | metadata `envoy.protocol`; Envoy ignores it as well |
//! | `policy` | [`Eds::policies`], for you to apply |
//! | fields that are newer than this | ignored |
//!
//! # What is no good
//!
//! **An entry** is left out, is an [event](evenkeel::set::Happened::Skipped) and hides none of the others,
//! where Envoy refuses the whole assignment: an endpoint without an IP address and a port from 1 to 65535 as
//! a number (a host name, a pipe, a named port), one that needs a resolver or a network namespace, weight 0; a
//! locality with a priority above 128, weight 0, or a collection of its own (LEDS). Of endpoints with one
//! address the first counts, as in Envoy. A field of the policy that is no good is left out in the same way.
//!
//! **A response** is refused, by a NACK that says why, and is an event, when it cannot be decoded, has another
//! type, has the resource twice, or has endpoints of which none is usable. The last good set stays. The second NACK in a row, and those after it, wait for 100 ms, 200 ms, up to
//! 10 s, so that a server that repeats itself does not keep both sides busy.
//!
//! **An empty assignment** is acknowledged. Whether it is taken is for
//! [`Follow::allow_empty`](evenkeel::discover::Follow::allow_empty) to say; so it is when an incremental stream
//! says that the resource is removed.
//!
//! Resources that were not asked for are ignored.
//!
//! # Streams
//!
//! When a stream fails, [`Follow`](evenkeel::discover::Follow) opens another, which begins with the version of
//! the last good assignment. As the server then need not send what is known, the source is fresh again when the
//! server has taken the stream; some do not say so, and are believed after the
//! [`initial_fetch_timeout`](Eds::initial_fetch_timeout). A server that begins to count its versions anew
//! when it is restarted, and comes to the same one with other endpoints, is misunderstood by all clients of xDS.
//!
//! An assignment with `endpoint_stale_after`, or a resource with a time to live, is good for that long. After
//! that the source is [stale](evenkeel::set::SourceState::Stale) and asks for all of it anew; the pool keeps
//! the last good set, where Envoy removes it.
//!
//! # Versions
//!
//! The public API has types of `tonic` 0.14: its `Endpoint`, its `Code`, and its errors. For TLS to the
//! management server, turn on one of its TLS features in your own dependencies.

mod eds;
mod failure;
mod mapping;
mod node;
mod policy;
mod protocol;
mod session;

pub use self::eds::Eds;
pub use self::failure::Failure;
pub use self::mapping::LocalityWeights;
pub use self::node::Node;
pub use self::policy::{DropOverload, Policies, Policy};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
