use std::fmt;

use http::{HeaderMap, Request, Response};
use tower_http::classify::{
    ClassifiedResponse, ClassifyEos, ClassifyResponse, GrpcFailureClass, MakeClassifier,
    ServerErrorsFailureClass, SharedClassifier, StatusInRangeFailureClass,
};

use super::grpc_outcomes::of_code;
use super::http_outcomes::of_status;
use super::{Classify, Verdict};
use crate::backend::{Failure, Outcome};

/// Goes by a classifier of tower-http, such as one that its `Trace` layer has already.
///
/// What the classifier calls a success is one, once the body has arrived whole. What it calls a
/// failure becomes an [`Outcome`] by `Into`:
///
/// | failure class | outcome |
/// | --- | --- |
/// | a status, as of `ServerErrorsAsFailures` and `StatusInRangeAsFailures` | as [`HttpOutcomes`](super::HttpOutcomes); of a status that is a success there, [`Failure::Response`] |
/// | a gRPC status, as of `GrpcErrorsAsFailures` | as [`GrpcOutcomes`](super::GrpcOutcomes); of one that is a success there, [`Failure::Response`] |
/// | a class of your own | what its `From<Class> for Outcome` says, or a `map_failure_class` |
///
/// So `ServerErrorsAsFailures` differs from the default in 429, which it calls a success; and
/// `GrpcErrorsAsFailures` from `GrpcOutcomes` in that it calls each code but `OK` a failure unless
/// it is [told otherwise](tower_http::classify::GrpcErrorsAsFailures::with_success), and a response
/// without any status a success.
///
/// Errors of the service and of bodies are sorted by [`Classify`]'s defaults, and the classifier is
/// not asked: to tower-http all of them are failures, and it sees only their text.
///
/// The classifiers are those of tower-http 0.7. One that is made from the request, by a
/// `MakeClassifier` of your own, does not fit: here the response alone has to tell.
///
/// # Examples
///
/// ```
/// use evenkeel::backend::{Failure, Outcome};
/// use evenkeel::http::{OnBodyEnd, TowerHttp};
/// use tower_http::classify::{
///     ClassifyResponse, GrpcCode, GrpcErrorsAsFailures, ServerErrorsAsFailures,
/// };
///
/// let track = OnBodyEnd::new().classify(TowerHttp::new(ServerErrorsAsFailures::new()));
///
/// let grpc = GrpcErrorsAsFailures::new().with_success(GrpcCode::NotFound);
/// let track = OnBodyEnd::new().classify(TowerHttp::new(grpc));
///
/// // All failures are alike.
/// let flat = ServerErrorsAsFailures::new()
///     .map_failure_class(|_class| Outcome::Failure(Failure::Response));
/// let track = OnBodyEnd::new().classify(TowerHttp::new(flat));
/// # let _ = track;
/// ```
#[must_use]
pub struct TowerHttp<C: ClassifyResponse> {
    classifier: C,
    // What the classifier made of the head of this one response.
    at_end: Option<C::ClassifyEos>,
}

impl<C: ClassifyResponse> TowerHttp<C> {
    /// Wraps a classifier.
    pub fn new(classifier: C) -> Self {
        Self {
            classifier,
            at_end: None,
        }
    }

    /// Wraps the classifier of a `SharedClassifier`, which is what tower-http's layers are made
    /// with.
    pub fn shared(shared: &SharedClassifier<C>) -> Self
    where
        C: Clone,
    {
        // It is the same for each request.
        Self::new(shared.make_classifier(&Request::new(())))
    }
}

impl<C> Classify for TowerHttp<C>
where
    C: ClassifyResponse + Clone,
    C::FailureClass: Into<Outcome>,
{
    fn head(&mut self, head: &Response<()>) -> Verdict {
        match self.classifier.clone().classify_response(head) {
            ClassifiedResponse::Ready(Ok(())) => Verdict::Good,
            ClassifiedResponse::Ready(Err(class)) => class.into().into(),
            ClassifiedResponse::RequiresEos(at_end) => {
                self.at_end = Some(at_end);
                Verdict::InTrailers
            }
        }
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) -> Outcome {
        let told = self.at_end.take().map(|eos| eos.classify_eos(trailers));
        told.and_then(Result::err)
            .map_or(Outcome::Success, Into::into)
    }
}

impl<C: ClassifyResponse + Clone> Clone for TowerHttp<C> {
    /// A clone is for another response.
    fn clone(&self) -> Self {
        Self::new(self.classifier.clone())
    }
}

impl<C: ClassifyResponse + fmt::Debug> fmt::Debug for TowerHttp<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TowerHttp")
            .field("classifier", &self.classifier)
            .finish_non_exhaustive()
    }
}

impl From<ServerErrorsFailureClass> for Outcome {
    fn from(class: ServerErrorsFailureClass) -> Self {
        match class {
            ServerErrorsFailureClass::StatusCode(status) => failed(of_status(status)),
            ServerErrorsFailureClass::Error(_) => Self::Failure(Failure::Other),
        }
    }
}

impl From<StatusInRangeFailureClass> for Outcome {
    fn from(class: StatusInRangeFailureClass) -> Self {
        match class {
            StatusInRangeFailureClass::StatusCode(status) => failed(of_status(status)),
            StatusInRangeFailureClass::Error(_) => Self::Failure(Failure::Other),
        }
    }
}

impl From<GrpcFailureClass> for Outcome {
    fn from(class: GrpcFailureClass) -> Self {
        match class {
            GrpcFailureClass::Status(status) => failed(of_code(status.code_raw())),
            _ => Self::Failure(Failure::Other),
        }
    }
}

/// The classifier has the last word on whether it is a failure.
fn failed(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Success => Outcome::Failure(Failure::Response),
        outcome => outcome,
    }
}
