//! A reverse proxy over a [`Balance`](crate::Balance), for HTTP/1.1 and HTTP/2.
//!
//! ```text
//!  client ──> Server ──> Proxy ──> recommended ──> BalanceLayer ──> Client ──> backend
//!               │          │           │                │             │
//!               │          │           │                │             └ connections, their limits
//!               │          │           │                └ which backend
//!               │          │           └ retries, limits, time-outs, ejection
//!               │          └ headers, refusals, upgrades, errors as responses
//!               └ connections, their limits
//! ```
//!
//! Each is a service of its own, and each can be another: an axum router in front of the [`Proxy`],
//! another client behind it.
//!
//! # What becomes of a request
//!
//! | | |
//! | --- | --- |
//! | `Connection` and what it names, `Keep-Alive`, `Proxy-…`, `TE` (except `trailers`), `Transfer-Encoding`, `Upgrade` | removed, in responses, too: they speak of one connection |
//! | `Host` | kept; that of an absolute target or `:authority` counts; or [set](Proxy::host) |
//! | `X-Forwarded-For` | continued with the client's address |
//! | `X-Forwarded-Proto`, `X-Forwarded-Host`, `X-Real-IP` | set |
//! | `Forwarded` | continued where it has begun, or [written](Proxy::forwarded) |
//! | other `X-Forwarded-…`, such as `-Port` and `-Prefix` | removed, unless a trusted proxy says it |
//! | `X_Forwarded_For` and its like | removed |
//! | `Via` | continued |
//! | `Expect: 100-continue` | met here, when a backend begins to read the body |
//! | several `Cookie` of HTTP/2 | made one |
//! | body and trailers | passed on as they come, as fast as they are taken |
//! | `Upgrade: websocket` | passed on; then bytes are, both ways |
//! | `CONNECT`, `TRACE` | refused: 501 |
//!
//! Behind other proxies, say [which](Proxy::trusted_proxies).
//!
//! A request counts as in flight until its response's body, or the connection that it was upgraded to,
//! has ended. So does it in the limit of [`recommended`](crate::http::recommended), which is 1,024: who
//! has many such connections needs a higher one.
//!
//! There is no limit on a body's size: tower-http's `RequestBodyLimit` around the proxy is one.
//!
//! # What is refused
//!
//! What two could read in two ways, by which requests are smuggled past a proxy: see [`Refused`]. Over
//! HTTP/1.1, hyper's server refuses bad lengths, bad chunks, folded lines, spaces before colons and
//! control characters. Of a request with both `Content-Length` and `Transfer-Encoding` it drops the
//! former, as RFC 9112, section 6.3, says, and closes the connection afterwards: it is passed on with
//! one length.
//!
//! # Status codes
//!
//! Beside those of [`HttpResponses`](crate::http::HttpResponses): 408 where a client's body does not
//! come, 400 where it breaks off or makes no sense, and those of [`Refused`]. A response that breaks
//! off breaks off for the client, too: nobody takes half for the whole.

mod body;
mod client;
mod forwarded;
mod found;
mod future;
mod hop_by_hop;
mod idle;
mod problem;
mod refuse;
mod server;
mod service;
mod settings;
mod upgrade;

pub use self::body::ProxyBody;
pub use self::client::{BadResponse, BrokeOff, Client, ClientBody, ClientBuilder, ClientFuture};
pub use self::future::ProxyFuture;
pub use self::idle::IdleBody;
pub use self::problem::Problem;
pub use self::refuse::Refused;
pub use self::server::Server;
pub use self::service::Proxy;
