//! What only HTTP needs: addresses as backends behind one client, counting to the end of the
//! body, what counts as a failure, and errors as responses.
//!
//! Two ways in:
//!
//! * *Outbound*: [`BalanceLayer`] around any `Service<http::Request<B>>`, such as hyper-util's
//!   client. Backends are [`Address`]es; the client pools the connections.
//! * *Inbound*: a [`Balance`](crate::Balance) over in-process replicas, or over such a client, made
//!   infallible by [`into_http_responses`](crate::Balance::into_http_responses), is a fallback
//!   service for axum.
//!
//! # What counts as a failure
//!
//! [`HttpOutcomes`] by default, which goes by the status; [`GrpcOutcomes`]; what [`TowerHttp`] has
//! of tower-http; or any [`Classify`]. Both [`BalanceLayer::classify`] and [`OnBodyEnd::classify`]
//! take it:
//!
//! ```
//! use evenkeel::http::{GrpcOutcomes, OnBodyEnd};
//! use evenkeel::{Balance, Pool};
//! # use tower::util::BoxCloneSyncService;
//! # type Service = BoxCloneSyncService<http::Request<()>, http::Response<String>, std::io::Error>;
//!
//! let balance = Balance::least_requests(Pool::<Service>::new())
//!     .track(OnBodyEnd::new().classify(GrpcOutcomes::new()));
//! # let _: Balance<_, http::Request<()>, _, _> = balance;
//! ```
//!
//! # Bodies that are sent again
//!
//! A request is sent again as a clone, and most bodies are no `Clone`. [`ReplayLayer`] makes each a
//! [`ReplayBody`], which is: it keeps what passes, up to a bound.
//!
//! # TLS
//!
//! An `https` address goes into the request's URI as it is, so a connector dials it and, by
//! default, verifies its host as the server's name. When the address is an IP and the certificate
//! names something else, give the address a [`server_name`](Address::server_name), and the
//! connector a way to find it: with hyper-rustls that is
//! `HttpsConnectorBuilder::with_server_name_resolver`, whose resolver is handed the URI. With
//! addresses as ids, as [`Pool::of_addresses`](crate::Pool::of_addresses) gives them,
//! `pool.value(id)` is the address and its server name.

mod address;
mod body;
mod by_method;
mod classify;
mod cookie;
mod deadline;
mod held;
pub mod key;
mod layer;
#[cfg(feature = "load-reports")]
pub mod load_reports;
mod path;
#[cfg(feature = "proxy")]
pub mod proxy;
pub(crate) mod recommended;
mod replay;
#[cfg(feature = "reqwest")]
mod reqwest;
mod responses;
#[cfg(feature = "sticky")]
pub mod sticky;
mod via;

pub use self::address::{Address, InvalidAddress};
pub use self::body::{OnBodyEnd, TrackedBody};
pub use self::by_method::{ByMethod, Idempotent};
pub(crate) use self::classify::says_degraded;
pub use self::classify::{
    Classify, DegradedHeader, GrpcOutcomes, HttpOutcomes, TowerHttp, Verdict,
};
pub use self::deadline::HttpDeadline;
pub use self::held::{HeldBody, UntilBodyEnd};
pub use self::layer::BalanceLayer;
pub(crate) use self::path::parse_path;
pub use self::recommended::{Recommended, recommended, recommended_with};
pub use self::replay::{CannotReplay, Replay, ReplayBody, ReplayLayer, RequestBodyError};
#[cfg(feature = "reqwest")]
pub use self::reqwest::{ReqwestClient, ReqwestFuture};
pub use self::responses::{
    HttpResponses, HttpResponsesFuture, HttpResponsesLayer, ResponseBody, error_of,
};
pub use self::via::{Addressed, Via};
