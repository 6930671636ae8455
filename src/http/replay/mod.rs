//! Request bodies that can be sent again.
//!
//! A copy of a request is kept while the request is sent, and sent in its place when that fails. A
//! head is easily copied; a body is a stream that is read once. So [`ReplayBody`] records what has
//! passed, while it passes: nothing waits for the whole body, and streams in both directions work.
//!
//! # Algorithm
//!
//! All copies share one slot. Who sends has the body, and what was read of it:
//!
//! ```text
//!            first poll of a copy
//!   ┌──────┐ ───────────────────▶ ┌───────┐  the end, all kept  ┌───────┐
//!   │ here │                      │ taken │ ──────────────────▶ │ whole │ any number at once
//!   └──────┘ ◀─────────────────── └───────┘                     └───────┘
//!            dropped, all kept      │   ▲
//!                                   │   └ other copies wait here
//!                                   │ not all is kept, or the body failed
//!                                   ▼
//!                                 ┌──────┐
//!                                 │ lost │ who has the body goes on, and is the last
//!                                 └──────┘
//! ```
//!
//! A copy that takes the body yields what was read before, and then reads on. That is a lock when
//! it starts, one when it is dropped or has come to the end, and one when the body is lost; none in
//! between. One that finds the body taken waits, and is woken when it is not.
//!
//! What has passed is let go as soon as it is known not to fit, or when no other copy is left to
//! send it: from then on the body just passes, once.

mod body;
mod error;
mod layer;
mod recording;
mod slot;
mod waiting;

pub use self::body::ReplayBody;
pub(crate) use self::error::is_of_request_body;
pub use self::error::{CannotReplay, RequestBodyError};
pub use self::layer::{Replay, ReplayLayer};

/// How much is kept of a body by default, in bytes.
pub(super) const DEFAULT_MAX_BYTES: usize = 64 * 1024;
