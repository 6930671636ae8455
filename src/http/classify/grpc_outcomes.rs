use http::{HeaderMap, Response, StatusCode};

use super::http_outcomes::of_status;
use super::{Classify, Verdict};
use crate::backend::{Failure, Outcome};

/// Goes by gRPC's status, in the trailers or, where there is no body, in the head.
///
/// | `grpc-status` | outcome |
/// | --- | --- |
/// | 0 `OK` | success |
/// | 3 `INVALID_ARGUMENT`, 5 `NOT_FOUND`, 6 `ALREADY_EXISTS`, 7 `PERMISSION_DENIED`, 9 `FAILED_PRECONDITION`, 10 `ABORTED`, 11 `OUT_OF_RANGE`, 12 `UNIMPLEMENTED`, 16 `UNAUTHENTICATED` | success: the answer to a request that was wrong |
/// | 1 `CANCELLED` | [`Cancelled`](Outcome::Cancelled) |
/// | 8 `RESOURCE_EXHAUSTED` | [`Rejected`](Outcome::Rejected) |
/// | 4 `DEADLINE_EXCEEDED` | failure: [`Timeout`](Failure::Timeout) |
/// | 14 `UNAVAILABLE` | failure: [`Gateway`](Failure::Gateway) |
/// | 2 `UNKNOWN`, 13 `INTERNAL`, 15 `DATA_LOSS`, and what is none of gRPC's codes | failure: [`Response`](Failure::Response) |
/// | none, and the HTTP status is not 200 | as [`HttpOutcomes`](super::HttpOutcomes) |
/// | none, and the response has ended | failure: [`Response`](Failure::Response) |
///
/// The failures are those that a server is to blame for. `UNIMPLEMENTED` is none: a method that a
/// backend does not have is no sign that it is ill.
///
/// A stream that is dropped before its trailers is cancelled. With `UNAVAILABLE` and
/// `RESOURCE_EXHAUSTED`, what `Retry-After` or `grpc-retry-pushback-ms` say is handed on; a
/// pushback below zero, which asks never to try again, is no time and is ignored.
///
/// # Examples
///
/// ```
/// use evenkeel::Pool;
/// use evenkeel::http::{BalanceLayer, GrpcOutcomes};
///
/// let pool = Pool::of_addresses(["10.0.0.1:50051", "10.0.0.2:50051"])?;
/// let layer = BalanceLayer::<String>::least_requests(pool).classify(GrpcOutcomes::new());
/// # let _ = layer;
/// # Ok::<(), evenkeel::http::InvalidAddress>(())
/// ```
///
/// # References
///
/// gRPC: "Status codes and their use in gRPC" (`doc/statuscodes.md`), "gRPC over HTTP2"
/// (`doc/PROTOCOL-HTTP2.md`), proposal A6 "gRPC Retry Design" for the pushback.
#[derive(Clone, Copy, Debug, Default)]
#[must_use]
pub struct GrpcOutcomes {
    _room: (),
}

impl GrpcOutcomes {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Classify for GrpcOutcomes {
    fn head(&mut self, head: &Response<()>) -> Verdict {
        match status_in(head.headers()) {
            Some(outcome) => Verdict::Final(outcome),
            None if head.status() == StatusCode::OK => Verdict::InTrailers,
            // No gRPC server has answered, so there are no trailers to wait for.
            None => of_status(head.status()).into(),
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Outcome {
        let told = trailers.and_then(status_in);
        told.unwrap_or(Outcome::Failure(Failure::Response))
    }
}

fn status_in(headers: &HeaderMap) -> Option<Outcome> {
    let value = headers.get("grpc-status")?;
    let code = value.to_str().ok().and_then(|code| code.parse().ok());
    Some(code.map_or(Outcome::Failure(Failure::Response), of_code))
}

pub(super) fn of_code(code: i32) -> Outcome {
    match code {
        0 | 3 | 5 | 6 | 7 | 9..=12 | 16 => Outcome::Success,
        1 => Outcome::Cancelled,
        4 => Outcome::Failure(Failure::Timeout),
        8 => Outcome::Rejected,
        14 => Outcome::Failure(Failure::Gateway),
        _ => Outcome::Failure(Failure::Response),
    }
}
