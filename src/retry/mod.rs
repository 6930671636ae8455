//! Retry and hedge on another backend, under one budget.
//!
//! [`RetryLayer`] goes right around a [`Balance`](crate::Balance). An attempt that fails is made
//! again on a backend that has not had the request yet, while there is one that is eligible; then
//! one that had it may get it again. An attempt that is slow may get a second one beside it, a
//! hedge, which only ever goes to a backend that has not had the request. Both go through the
//! balance's picker, with the backends that were tried masked, so a hash picker gives a key's next
//! choice.
//!
//! # The path of a request
//!
//! ```text
//!            ┌────────────────────────────────────────────────────────────────┐
//!            v                                                                │ back-off
//! call ──> attempt ── good head ──────────────────────────> response          │
//!            │  │                                                             │
//!            │  └─ failed: may it go out again? ──────────── yes ─────────────┘
//!            │       │ a request that is safe, or never left
//!            │       │ a failure that is retried
//!            │       │ an attempt is left, and time, and the budget has a token
//!            │       └─ no ──────────────────────────────> this failure, with all attempts
//!            │
//!            └─ pending for the hedge's delay: a second attempt beside it, on another backend;
//!               the first good head wins, and the other attempt is cancelled
//! ```
//!
//! # What is retried
//!
//! A request is *safe* if having it twice does no more than having it once; [`Repeat`] says whether
//! it is. One that is not is retried only if it surely never left, by
//! [`Track::never_left`](crate::balance::Track::never_left): the connection was refused, say. An
//! unreachable host is not enough, since a connection can lose its route while a request is on it.
//!
//! | failure | by default |
//! | --- | --- |
//! | [`Connect`](crate::backend::Failure::Connect): no connection | retried, also if it is not safe but never left |
//! | [`Timeout`](crate::backend::Failure::Timeout) | retried |
//! | [`Gateway`](crate::backend::Failure::Gateway): 502, 503, 504, `UNAVAILABLE` | retried |
//! | [`Other`](crate::backend::Failure::Other): the connection broke | retried |
//! | [`Response`](crate::backend::Failure::Response): 500 | not: it would most likely fail again |
//! | [`Body`](crate::backend::Failure::Body): the response broke off | never: the caller has begun to read it |
//! | [`Rejected`](crate::backend::Outcome::Rejected): 429 | not, unless [told](RetryLayer::on_rejected) |
//! | no backend, or none took it | not: the balance has waited already |
//! | the request's deadline has passed | never |
//!
//! What a backend says in `Retry-After` is about itself: a retry goes to another one at once, if there
//! is one that is eligible and has not had the request, and waits otherwise. gRPC's
//! `grpc-retry-pushback-ms` tells the caller to wait, and that is done in any case. There is no retry
//! if that leaves no time, if it is more than 10 s, or if a pushback forbids it.
//!
//! # Cost
//!
//! A request that goes well costs one reading of the clock, one token for the budget, and a copy of
//! itself, which is nearly all of it. It allocates nothing. Timers are armed for a pause, and, with
//! a hedge, for a request that is pending.

mod budget;
mod core;
mod ended;
mod future;
mod hedge;
mod layer;
mod observe;
mod percentile;
mod repeat;
mod service;

pub use self::budget::Budget;
pub use self::future::RetryFuture;
pub use self::hedge::Hedge;
pub use self::layer::RetryLayer;
pub use self::observe::ObserveAttempts;
pub use self::repeat::Repeat;
pub use self::service::{Retry, RetryAttempts};
