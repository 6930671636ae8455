use tower::BoxError;

use crate::backend::{Failure, Outcome};

/// An error of a client, together with what it means, where the error itself does not tell.
///
/// Many clients know whether they had a connection, or ran out of time, and say so by methods of
/// their error, which a balance cannot ask. An adapter that maps the error to this one hands it on:
/// [`Track::error`](super::Track::error), [`Track::never_left`](super::Track::never_left) and
/// [`Failure::of`] believe the first of these that they find among an error and its causes. So does
/// each [`Classify`](crate::http::Classify) that leaves these questions to their defaults.
///
/// # Examples
///
/// hyper-util's client, whose requests that found no connection can be sent again whatever their
/// method is, also where the reason was the name or the certificate:
///
/// ```no_run
/// use evenkeel::Pool;
/// use evenkeel::backend::{Failure, Outcome};
/// use evenkeel::balance::ClientError;
/// use evenkeel::http::{BalanceLayer, recommended};
/// use http_body_util::Empty;
/// use hyper_util::client::legacy::{Client, Error};
/// use hyper_util::rt::TokioExecutor;
/// use tower::{BoxError, Layer, ServiceExt};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::builder(TokioExecutor::new()).build_http();
/// let client = client.map_err(|error: Error| -> BoxError {
///     if error.is_connect() {
///         ClientError::new(Outcome::Failure(Failure::Connect), error).never_left().into()
///     } else {
///         error.into()
///     }
/// });
/// let pool = Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"])?;
/// let service = recommended(BalanceLayer::least_requests(pool).layer(client));
/// # let _ = service.oneshot(http::Request::new(Empty::<bytes::Bytes>::new()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, thiserror::Error)]
#[error("the client reports: {outcome}")]
pub struct ClientError {
    outcome: Outcome,
    never_left: bool,
    source: BoxError,
}

impl ClientError {
    /// Says how the request ended, of which nobody knows that it never left. `source` is what the
    /// client said.
    ///
    /// One for which no backend is to blame is [`Outcome::Cancelled`].
    pub fn new(outcome: Outcome, source: impl Into<BoxError>) -> Self {
        Self {
            outcome,
            never_left: false,
            source: source.into(),
        }
    }

    /// Says that the request surely never left, so that it can be sent again whatever it is.
    #[must_use]
    pub fn never_left(mut self) -> Self {
        self.never_left = true;
        self
    }

    /// Returns how the request ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    pub(crate) fn failure(&self) -> Option<Failure> {
        match self.outcome {
            Outcome::Failure(failure) => Some(failure),
            _ => None,
        }
    }

    pub(super) fn surely_never_left(&self) -> bool {
        self.never_left
    }
}
