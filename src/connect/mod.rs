//! A service for each address, made when it is first needed, and made anew when it breaks.
//!
//! [`Connected`] is the value of such a backend; [`Pool::connected`](crate::Pool::connected) makes
//! a pool of them. What the maker makes has to be `Clone`: an HTTP/2 connection, a tonic channel,
//! an in-process service. An HTTP/1 connection is not; for it use
//! [`BalanceLayer`](crate::http::BalanceLayer) around hyper-util's client, which pools connections.
//!
//! ```text
//!            first request            made
//!   idle ───────────────> connecting ──────> ready
//!    ^                        │ failed         │ poll_ready fails
//!    │     back-off over      v                v
//!    └────────────────── backing off        idle
//! ```
//!
//! With an [`IdleTimeout`], who is ready and not used is idle again.
//!
//! A request that picks a backend in back-off passes it over at once and goes elsewhere.

mod connected;
mod idle;
mod maker;

pub use self::connected::{ConnectError, Connected, ConnectedFuture};
pub use self::idle::{DroppingIdle, IdleTimeout};
pub use self::maker::Connect;
