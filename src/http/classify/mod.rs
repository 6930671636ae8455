use std::any::Any;
use std::error::Error as StdError;
use std::time::Duration;

use http::header::HeaderName;
use http::{HeaderMap, Response};

use super::replay::is_of_request_body;
use crate::backend::{Failure, Outcome};
use crate::balance::{never_left, outcome_of};

mod degraded;
mod grpc_outcomes;
mod http_outcomes;
mod retry_after;
mod tower_classifiers;

pub use self::degraded::DegradedHeader;
pub(crate) use self::degraded::says_degraded;
pub use self::grpc_outcomes::GrpcOutcomes;
pub use self::http_outcomes::HttpOutcomes;
pub use self::tower_classifiers::TowerHttp;

/// What a response, or an error, says of the backend that it comes from.
///
/// [`HttpOutcomes`] is the default of all that is HTTP here, [`GrpcOutcomes`] is for gRPC, and
/// [`TowerHttp`] takes the classifiers of tower-http. One of your own needs one method,
/// [`head`](Self::head), or is a closure:
///
/// ```
/// use evenkeel::Pool;
/// use evenkeel::backend::{Failure, Outcome};
/// use evenkeel::http::{BalanceLayer, Classify, HttpOutcomes, Verdict};
/// use http::{Response, StatusCode};
///
/// // A replica that does not know the tenant has not loaded its data.
/// let tenants = |head: &Response<()>| match head.status() {
///     StatusCode::NOT_FOUND => Verdict::Final(Outcome::Failure(Failure::Response)),
///     _ => HttpOutcomes::new().head(head),
/// };
/// let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"])?;
/// let layer = BalanceLayer::<String>::least_requests(pool).classify(tenants);
/// # let _ = layer;
/// # Ok::<(), evenkeel::http::InvalidAddress>(())
/// ```
///
/// # One response, one clone
///
/// A classifier is cloned for each response, and the clone stays with it to its end. So it can keep
/// in itself what it has seen of the head, and a clone should be cheap.
///
/// ```text
///                                       ┌─ Final(outcome) ──────────────────────────> outcome
///  service ──> response ──> head ───────┼─ Good ───────> the body arrives whole ────> success
///     │                                 └─ InTrailers ─> the body arrives whole: end ─> outcome
///     │                                        │
///     │                                        ├─> it breaks off: body_error ──────> outcome
///     │                                        └─> it is dropped early ────────────> cancelled
///     └─> error ──────────────────────────────────────────────────────────────────> outcome
/// ```
///
/// A `Good` body can break off or be dropped, too.
///
/// # Examples
///
/// A protocol that says at the end whether all went well, and a client whose own uploads can break,
/// which is nothing to hold against a backend:
///
/// ```
/// use evenkeel::backend::{Failure, Outcome};
/// use evenkeel::http::{Classify, HttpOutcomes, Verdict};
/// use http::{HeaderMap, Response};
/// use std::error::Error;
///
/// #[derive(Debug, thiserror::Error)]
/// #[error("the upload broke off")]
/// struct UploadBroke;
///
/// #[derive(Clone)]
/// struct Exports;
///
/// impl Classify for Exports {
///     fn head(&mut self, head: &Response<()>) -> Verdict {
///         match HttpOutcomes::new().head(head) {
///             Verdict::Good => Verdict::InTrailers,
///             bad => bad,
///         }
///     }
///
///     fn end(&mut self, trailers: Option<&HeaderMap>) -> Outcome {
///         match trailers.and_then(|trailers| trailers.get("export-complete")) {
///             Some(_) => Outcome::Success,
///             None => Outcome::Failure(Failure::Body),
///         }
///     }
///
///     fn error(&self, error: &(dyn Error + 'static)) -> Outcome {
///         match error.source() {
///             Some(cause) if cause.is::<UploadBroke>() => Outcome::Cancelled,
///             _ => Outcome::Failure(Failure::of(error)),
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say what a response means",
    note = "a classifier implements `evenkeel::http::Classify`, or is a closure \
            `|head: &http::Response<()>| -> evenkeel::http::Verdict` that is `Clone`",
    note = "wrap a classifier of tower-http in `evenkeel::http::TowerHttp`"
)]
pub trait Classify: Clone {
    /// Says what is known when the head of a response has arrived.
    fn head(&mut self, head: &Response<()>) -> Verdict;

    /// Says how a response has ended whose head said [`Verdict::InTrailers`], and whose body has
    /// arrived whole. Default: a success.
    fn end(&mut self, trailers: Option<&HeaderMap>) -> Outcome {
        let _ = trailers;
        Outcome::Success
    }

    /// Says what it means that a body broke off. Default: [`Failure::Body`].
    ///
    /// It is of the type of the body's errors, such as `hyper::Error`: `error.downcast_ref()` has
    /// it. It is no `dyn Error` since it need not be one: `Box<dyn Error + Send + Sync>`, which
    /// many bodies have, is not.
    fn body_error(&mut self, error: &dyn Any) -> Outcome {
        let _ = error;
        Outcome::Failure(Failure::Body)
    }

    /// Says what an error of the backend's service means. Default: a failure of the kind that
    /// [`Failure::of`] finds; or [`Cancelled`](Outcome::Cancelled) if it, or a cause of it, is
    /// [`RequestBodyError`](super::RequestBodyError) or [`CannotReplay`](super::CannotReplay): the
    /// request's own body is to blame.
    fn error(&self, error: &(dyn StdError + 'static)) -> Outcome {
        if is_of_request_body(error) {
            return Outcome::Cancelled;
        }
        outcome_of(error)
    }

    /// Says whether an error shows that the request surely never left; see
    /// [`Track::never_left`](crate::balance::Track::never_left), whose default this has; but an error
    /// of the request's own body never does, whatever its cause: the body was being sent.
    fn never_left(&self, error: &(dyn StdError + 'static)) -> bool {
        !is_of_request_body(error) && never_left(error)
    }

    /// Returns whether what [`retry_after`](Self::retry_after) says goes for other backends, too.
    /// Default: if it is gRPC's pushback.
    fn waits_anywhere(&self, headers: &HeaderMap) -> bool {
        retry_after::is_pushback(headers)
    }

    /// Returns for how long the backend asks to be left alone. Default: what `Retry-After` says in
    /// seconds (a date is ignored), or else gRPC's `grpc-retry-pushback-ms` in milliseconds.
    ///
    /// It is asked about a response, or its trailers, that is [`Rejected`](Outcome::Rejected) or a
    /// [`Failure::Gateway`], such as 429 and 503.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        retry_after::of(headers)
    }

    /// Returns whether another attempt may be made, after one that failed. Default: unless gRPC's
    /// `grpc-retry-pushback-ms` says otherwise, by a number below 0, or by what is no number.
    fn may_retry(&self, headers: &HeaderMap) -> bool {
        retry_after::may_retry(headers)
    }

    /// Returns whether the response says that its backend is degraded: it works, but others are to
    /// be preferred. Default: no.
    fn degraded(&self, head: &Response<()>) -> bool {
        let _ = head;
        false
    }

    /// Takes each response with this header, and a value that is not `false` or `0`, for one of a
    /// degraded backend. Envoy's is `x-envoy-degraded`.
    fn degraded_header(self, name: HeaderName) -> DegradedHeader<Self> {
        DegradedHeader::new(self, name)
    }
}

/// What a [`Classify`] knows from the head of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verdict {
    /// All is well: a success, once the body has arrived whole.
    Good,
    /// How it ends is known, whatever becomes of the body. The request is in flight until that has
    /// ended, still.
    Final(Outcome),
    /// All is well so far, and the trailers tell how it ends: [`Classify::end`] is asked.
    ///
    /// As trailers can follow, a body has not ended before it says so, whatever `Content-Length`
    /// says.
    InTrailers,
}

impl From<Outcome> for Verdict {
    /// A success is [`Good`](Verdict::Good), anything else [`Final`](Verdict::Final).
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Good,
            outcome => Self::Final(outcome),
        }
    }
}

impl<F> Classify for F
where
    F: Fn(&Response<()>) -> Verdict + Clone,
{
    fn head(&mut self, head: &Response<()>) -> Verdict {
        self(head)
    }
}
