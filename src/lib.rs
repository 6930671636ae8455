//! Load balancing for tower: every algorithm, shared without a queue, honest about load, stable
//! while backends come and go.
//!
//! ```text
//!  request ──> Balance ──> Picker: which of the eligible backends? ──> its service ──> response
//!                 │                                                                      │
//!                 └── Pool: the members, changed live <── in flight, latency, outcome ───┘
//! ```
//!
//! # Ways in
//!
//! | you have | use |
//! | --- | --- |
//! | services, one for each backend | [`Balance`] over a [`Pool`] of them |
//! | addresses and one HTTP client | [`http::BalanceLayer`] around the client |
//! | addresses and a maker of connections | [`Pool::connected`](Pool::connected), then [`Balance`] |
//! | an axum router in front of any of these | [`Balance::into_http_responses`] |
//! | any of the HTTP ones, and retries, limits and deadlines | [`http::recommended`] |
//! | clients to be a reverse proxy for | `http::proxy` |
//! | no tower at all | [`picker::Selector`], or a [`Picker`] and any [`BackendSet`] |
//!
//! # Modules
//!
//! * [`backend`]: one member: its identity, settings, live statistics
//! * [`set`]: the membership, and the trait that pickers read
//! * [`picker`]: the algorithms, and the trait to write your own; by a key: [`picker::hash`]
//! * [`balance`]: the service, its future, its errors
//! * [`retry`]: another attempt on another backend, hedges, the budget
//! * [`load`]: what backends say of their own load
//! * [`limit`]: so many requests in flight in all, and a queue before them
//! * [`deadline`]: how long a request may take
//! * [`connect`]: a service for each address, made when it is needed
//! * [`health`]: probes, and ejection by what the traffic shows
//! * [`http`]: addresses, bodies, responses; keys of requests, sticky sessions; the recommended stack
//! * [`discover`]: where members come from
//! * `config`: all of it from a file
//! * `sim`: pickers tried in virtual time, before they are deployed
//! * [`observe`]: what happens, told to observers, metrics and `tracing`; a page of how the pools are
//! * [`guide`]: choosing a picker; high availability; when backends fail; from one machine to a fleet; hashing and affinity; what goes
//!   around and inside; coming from `tower::balance`; how it is built
//!
//! # Features
//!
//! * `http` (default): [`http`], and all of `tower`.
//! * `dns`: `discover::dns`, names as a source of backends; and all of `tower`.
//! * `file`: `discover::File`, backends from a file; and all of `serde`.
//! * `sticky`: [`http::sticky`].
//! * `load-reports`: [`http::load_reports`].
//! * `proxy`: `http::proxy`, a reverse proxy.
//! * `reqwest`: `http::ReqwestClient`.
//! * `metrics`: in [`observe`], what happens as metrics of the `metrics` facade; and all of `tower`.
//! * `tracing`: in [`observe`], events and, with `http`, spans of `tracing`; and all of `tower`.
//! * `serde`: `config`, and what a pool says of itself, serialised; and all of `http`.
//! * `status`: in [`observe`], a page of how the pools are; and all of `serde`.
//! * `sim`: `sim`, without anything else.
//! * `tower`: [`balance`], [`connect`], [`deadline`], [`discover`], [`limit`], [`retry`], probes in
//!   [`health`].
//! * None: [`backend`], [`set`], [`picker`], [`observe::Observer`] and ejection, without tower, tokio and http.
//!
//! # Versions
//!
//! Rust 1.88 or later. Of crates before 1.0, the public API has types and traits of `tower` 0.5,
//! `tower-service` 0.3, `tower-layer` 0.3, `tower-http` 0.7 and `futures-core` 0.3, and with the feature `reqwest` of
//! `reqwest` 0.13.

pub mod backend;
#[cfg(feature = "tower")]
mod backoff;
#[cfg(feature = "tower")]
pub mod balance;
mod causes;
#[cfg(feature = "serde")]
pub mod config;
#[cfg(feature = "tower")]
pub mod connect;
#[cfg(feature = "tower")]
pub mod deadline;
#[cfg(feature = "tower")]
pub mod discover;
#[cfg(feature = "http")]
pub mod guide;
pub mod health;
#[cfg(feature = "http")]
pub mod http;
mod invalid;
#[cfg(feature = "tower")]
pub mod limit;
pub mod load;
pub mod observe;
pub mod picker;
mod random;
#[cfg(feature = "tower")]
pub mod retry;
// The part of it that needs no tower, since interleavings are run without features.
#[cfg(all(test, evenkeel_loom))]
#[path = "retry/budget/loom_tests.rs"]
mod retry_loom_tests;
pub mod set;
#[cfg(feature = "sim")]
pub mod sim;
mod sync;
mod time;

pub use self::backend::Backend;
#[cfg(feature = "tower")]
pub use self::backoff::Backoff;
#[cfg(feature = "tower")]
pub use self::balance::{Balance, Error};
pub use self::invalid::InvalidSetting;
pub use self::picker::Picker;
pub use self::set::{BackendSet, Pool};

#[cfg(all(
    doctest,
    feature = "dns",
    feature = "metrics",
    feature = "proxy",
    feature = "status",
    feature = "sticky"
))]
#[doc = include_str!("../README.md")]
mod readme {}
