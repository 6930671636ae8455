//! What errors of a service mean, by default and by choice.

use std::error::Error as StdError;
use std::io;

use ::http::{HeaderName, Response};
use bytes::Bytes;
use evenkeel::backend::{Failure, Outcome};
use evenkeel::http::{
    CannotReplay, Classify, GrpcOutcomes, HttpOutcomes, ReplayBody, TowerHttp, Verdict,
};
use futures_util::stream;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tower::BoxError;
use tower_http::classify::ServerErrorsAsFailures;

use crate::setup::{Setup, TIMEOUT};

#[derive(Debug, thiserror::Error)]
#[error("the upload broke off")]
struct UploadBroke(#[source] io::Error);

/// The caller is to blame for its own uploads.
#[derive(Clone)]
struct Uploads;

impl Classify for Uploads {
    fn head(&mut self, head: &Response<()>) -> Verdict {
        HttpOutcomes::new().head(head)
    }

    fn error(&self, error: &(dyn StdError + 'static)) -> Outcome {
        if error.is::<UploadBroke>() {
            return Outcome::Cancelled;
        }
        Outcome::Failure(Failure::Timeout)
    }
}

fn refused() -> io::Error {
    io::ErrorKind::ConnectionRefused.into()
}

#[tokio::test]
async fn by_default_an_error_is_a_failure_of_its_own_kind() {
    let connect = Outcome::Failure(Failure::Connect);

    let setup = Setup::new(HttpOutcomes::new());
    assert_eq!(
        setup.error(refused()).await.failure(),
        Some(Failure::Connect)
    );
    assert_eq!(setup.ended(), [connect]);

    let setup = Setup::new(GrpcOutcomes::new());
    setup.error(refused()).await;
    assert_eq!(setup.ended(), [connect]);

    let setup = Setup::new(TowerHttp::new(ServerErrorsAsFailures::new()));
    setup.error(refused()).await;
    assert_eq!(setup.ended(), [connect]);
}

#[tokio::test]
async fn the_kind_is_found_however_deep_it_is() {
    let setup = Setup::new(HttpOutcomes::new());
    setup.error(Client(refused().into())).await;
    // The source of this is that of the one inside.
    setup.error(io::Error::other(refused())).await;
    setup
        .error(io::Error::other(Client(io::Error::other(refused()).into())))
        .await;
    assert_eq!(setup.ended(), [Outcome::Failure(Failure::Connect); 3]);
}

#[tokio::test]
async fn an_error_that_is_the_callers_own_is_not_held_against_the_backend() {
    let setup = Setup::new(Uploads);
    let error = setup.error(UploadBroke(refused())).await;
    assert_eq!(setup.ended(), [Outcome::Cancelled]);
    // Whoever asked has an error all the same, and it says what can be known.
    assert_eq!(error.backend(), Some("a"));
    assert_eq!(error.failure(), Some(Failure::Connect));
    let source = error.source().expect("what the service said");
    assert!(source.is::<UploadBroke>());
}

#[derive(Debug, thiserror::Error)]
#[error("the client failed")]
struct Client(#[source] BoxError);

#[tokio::test]
async fn a_body_that_broke_off_or_cannot_be_sent_again_is_not_held_against_the_backend() {
    async fn check(classify: impl Classify) {
        for cause in [CannotReplay::NotKept, CannotReplay::Failed] {
            let setup = Setup::new(classify.clone());
            setup.error(cause).await;
            setup.error(io::Error::other(cause)).await;
            let error = setup.error(Client(Client(cause.into()).into())).await;
            assert_eq!(setup.ended(), [Outcome::Cancelled; 3]);
            assert_eq!(error.backend(), Some("a"), "it is named all the same");
        }
        let body = StreamBody::new(stream::iter([Err::<Frame<Bytes>, _>(refused())]));
        let broke_off = ReplayBody::new(body).collect().await.unwrap_err();
        let setup = Setup::new(classify.clone());
        setup.error(Client(Client(broke_off).into())).await;
        assert_eq!(setup.ended(), [Outcome::Cancelled]);
        // Any other cause is.
        let setup = Setup::new(classify);
        setup.error(Client(Client(refused().into()).into())).await;
        assert_eq!(setup.ended(), [Outcome::Failure(Failure::Connect)]);
    }
    check(HttpOutcomes::new()).await;
    check(GrpcOutcomes::new()).await;
    check(TowerHttp::new(ServerErrorsAsFailures::new())).await;
    let degraded = HeaderName::from_static("degraded");
    check(HttpOutcomes::new().degraded_header(degraded)).await;
    check(|head: &Response<()>| HttpOutcomes::new().head(head)).await;
}

#[tokio::test]
async fn the_error_tells_the_kind_that_was_chosen() {
    let setup = Setup::new(Uploads);
    let error = setup.error(refused()).await;
    assert_eq!(setup.ended(), [TIMEOUT]);
    assert_eq!(error.failure(), Some(Failure::Timeout));
}
