//! Clients that go away while they upload, and what that says of the backends.

use std::io;

use bytes::Bytes;
use evenkeel::backend::{Outcome, State};
use evenkeel::http::{ReplayBody, recommended};
use evenkeel::{Backend, Balance, Pool};
use futures_util::stream;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use tower::{BoxError, ServiceExt, service_fn};

use crate::servers::{Version, echo};
use crate::setup::{Script, Step, data};
use crate::with_retry::answer;

const ABORTED: usize = 12;

fn upload() -> Script {
    Script::new([data("one"), Step::Wait, Step::Fail])
}

#[tokio::test(start_paused = true)]
async fn aborted_uploads_do_not_get_backends_ejected() {
    for method in [Method::POST, Method::PUT] {
        let reads = service_fn(|request: Request<ReplayBody<Script>>| async move {
            request.into_body().collect().await?;
            Ok::<_, BoxError>(Response::new(Empty::<Bytes>::new()))
        });
        let pool = Pool::from([Backend::new("a", reads), Backend::new("b", reads)]);
        let service = recommended(Balance::round_robin(pool.clone()).count_to_body_end());
        for _ in 0..ABORTED {
            let request = Request::builder().method(&method).body(upload()).unwrap();
            let error = service.clone().oneshot(request).await.unwrap_err();
            let attempts = error.attempts().iter();
            let outcomes: Vec<_> = attempts
                .map(evenkeel::balance::Attempted::outcome)
                .collect();
            assert_eq!(
                outcomes,
                [Outcome::Cancelled],
                "once, and nobody is to blame"
            );
        }
        assert_eq!(
            pool.status().count_of(State::Healthy),
            2,
            "{}",
            pool.status()
        );
    }
}

/// Over HTTP/2 hyper resets the stream, and says so instead.
#[tokio::test]
async fn over_http_1_a_server_is_not_blamed_for_an_upload_that_broke_off() {
    let servers = [echo(Version::H1).await, echo(Version::H1).await];
    let Err(error) = answer(Version::H1, &servers, Method::PUT, upload()).await else {
        panic!("an answer");
    };
    let attempts = error.attempts().iter();
    let outcomes: Vec<_> = attempts
        .map(evenkeel::balance::Attempted::outcome)
        .collect();
    assert_eq!(outcomes, [Outcome::Cancelled]);
}

/// A proxy's body can come from a connection of its own.
#[tokio::test]
async fn whatever_has_broken_off_an_upload_it_was_being_sent() {
    let reads = service_fn(|request: Request<ReplayBody<_>>| async move {
        request.into_body().collect().await?;
        Ok::<_, BoxError>(Response::new(Empty::<Bytes>::new()))
    });
    let backends = [Backend::new("a", reads)];
    let service = Balance::round_robin(backends).count_to_body_end();
    let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
    let body = StreamBody::new(stream::iter([Err::<Frame<Bytes>, _>(refused)]));
    let request = Request::post("/").body(ReplayBody::new(body)).unwrap();
    let error = service.oneshot(request).await.unwrap_err();
    assert!(!error.never_left(), "{error:?}");
    assert_eq!(error.attempts()[0].outcome(), Outcome::Cancelled);
}
