//! Requests whose bodies come while they are answered.

use std::pin::pin;

use bytes::Bytes;
use evenkeel::backend::{Failure, Outcome};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Either, Empty};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tower::BoxError;

use crate::servers::{Version, piped, send, serve};
use crate::with_retry::answer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_early_is_left_for_one_that_gets_the_whole_body() {
    for (version, reads_on) in [
        (Version::H1, true),
        (Version::H1, false),
        (Version::H2, true),
        (Version::H2, false),
    ] {
        let refuses = serve(version, move |mut request: Request<Incoming>| async move {
            request.body_mut().frame().await.ok_or("too short")??;
            if reads_on {
                tokio::spawn(request.into_body().collect());
            }
            let response = Response::builder().status(503).body(Empty::<Bytes>::new());
            Ok(response?)
        })
        .await;
        let (frames, body) = piped();
        let (reached, mut second_reached) = mpsc::unbounded_channel();
        let echo = serve(version, move |request: Request<Incoming>| {
            let told = reached.send(());
            async move {
                told.map(|()| Response::new(request.into_body()))
                    .map_err(BoxError::from)
            }
        })
        .await;
        send(&frames, "one").await;
        let sent = tokio::spawn(async move {
            let answer = answer(version, &[refuses, echo], Method::PUT, body).await;
            let answer = answer.expect("an answer");
            let gateway = Outcome::Failure(Failure::Gateway);
            assert_eq!(answer.before, [(refuses.to_string(), gateway)]);
            answer.body.collect().await.expect("a body").to_bytes()
        });
        // The upload goes on when the second has the request already.
        second_reached.recv().await.expect("the second is there");
        send(&frames, "two").await;
        drop(frames);
        assert_eq!(sent.await.expect("no panic"), "onetwo", "{version:?}");
    }
}

#[tokio::test]
async fn a_stream_in_both_directions_is_not_delayed() {
    for version in Version::BOTH {
        let echo = serve(version, async |request: Request<Incoming>| {
            Ok(Response::new(Either::<_, Empty<Bytes>>::Left(
                request.into_body(),
            )))
        });
        let (frames, body) = piped();
        // The answer is there before anything was sent.
        let servers = [echo.await];
        let answer = answer(version, &servers, Method::POST, body)
            .await
            .expect("an answer");
        assert_eq!(answer.before, []);
        let mut body = pin!(answer.body);
        for text in ["one", "two"] {
            send(&frames, text).await;
            let frame = body.frame().await.expect("a frame").expect("no error");
            assert_eq!(frame.into_data().expect("data"), text);
        }
        drop(frames);
        while let Some(frame) = body.frame().await {
            assert!(
                frame
                    .expect("no error")
                    .into_data()
                    .expect("data")
                    .is_empty()
            );
        }
    }
}
