//! How long a request may take: a deadline that comes with it, or is set here, and is passed on.
//!
//! ```text
//!  request, perhaps with a deadline
//!     │
//!     v
//!  DeadlineLayer ── the sooner of the request's own and the layer's ──> inner service
//!     │                                                                    │
//!     ├── the response's head in time ──────────────────────────────────<──┘
//!     └── or DeadlineExceeded, and the inner future is dropped
//! ```
//!
//! [`DeadlineLayer`] is an ordinary layer, for any service whose error can be
//! [`DeadlineExceeded`]: this crate's [`Error`](crate::Error), or a `BoxError`. What a request
//! carries is up to a [`Carry`]; for HTTP there is [`HttpDeadline`](crate::http::HttpDeadline).
//!
//! It is about the whole request, and blames nobody. How long one backend has for one attempt is
//! said by [`Balance::attempt_timeout`](crate::Balance::attempt_timeout).

mod carry;
mod exceeded;
mod future;
mod layer;

use std::time::{Duration, Instant};

pub use self::carry::{Carry, Nowhere};
pub use self::exceeded::DeadlineExceeded;
pub use self::future::DeadlineFuture;
pub use self::layer::{DeadlineLayer, WithDeadline};
use crate::time::{later, now};

/// A moment after which a request's caller does not wait any more.
///
/// In the extensions of an HTTP request, it is the request's own
/// ([`HttpDeadline`](crate::http::HttpDeadline)).
///
/// # Examples
///
/// ```
/// use evenkeel::deadline::Deadline;
/// use std::time::Duration;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(Deadline::after(Duration::from_secs(2)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// At a moment, by tokio's clock.
    pub fn at(moment: Instant) -> Self {
        Self(moment)
    }

    /// After some time from now.
    pub fn after(time: Duration) -> Self {
        Self(later(now(), time))
    }

    /// Returns the moment.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Returns how much time is left.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(now())
    }
}
