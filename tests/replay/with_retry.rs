//! Requests with bodies that are retried over real connections: the whole stack, from the layer
//! that makes a body repeatable to a client and its servers.

use std::net::SocketAddr;

use bytes::Bytes;
use evenkeel::backend::{Failure, Outcome};
use evenkeel::http::{BalanceLayer, ByMethod, ReplayBody, ReplayLayer};
use evenkeel::retry::RetryLayer;
use evenkeel::{BackendSet, Error, Pool, picker};
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use tower::{BoxError, ServiceBuilder, ServiceExt};

use crate::servers::{Version, client, dies_after, echo, listen, serve};
use crate::setup::{All, Script, Step, frames};

/// What came back, and how the attempts before have ended.
pub(crate) struct Answer<B> {
    pub(crate) body: B,
    pub(crate) before: Vec<(String, Outcome)>,
}

/// Sends a request by a stack that prefers the servers in this order.
pub(crate) async fn answer<B>(
    version: Version,
    servers: &[SocketAddr],
    method: Method,
    body: B,
) -> Result<Answer<impl Body<Data = Bytes, Error = hyper::Error> + use<B>>, Error>
where
    B: Body<Error: Into<BoxError>> + Send + 'static,
{
    let order: Vec<_> = servers.iter().map(ToString::to_string).collect();
    let pool = Pool::of_addresses(order.clone()).expect("addresses");
    let first = move |set: &dyn BackendSet, _: &Request<_>, _: &mut picker::Context| {
        let place = |&rank: &usize| order.iter().position(|id| id == set.id(rank));
        (0..set.len()).min_by_key(place)
    };
    let service = ServiceBuilder::new()
        .layer(ReplayLayer::new())
        .layer(RetryLayer::new(ByMethod::new()))
        .layer(BalanceLayer::new(pool, first))
        .service(client::<ReplayBody<B>>(version));
    let request = Request::builder()
        .method(method)
        .uri("http://shop.example/");
    let response = service
        .oneshot(request.body(body).expect("a request"))
        .await?;
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body();
    let attempts = body.attempts().iter();
    let before = attempts.map(|attempt| (attempt.backend().to_owned(), attempt.outcome()));
    Ok(Answer {
        before: before.collect(),
        body,
    })
}

/// A server that resets each request once it has read so many bytes.
async fn resets_after(bytes: usize) -> SocketAddr {
    serve(Version::H2, move |request: Request<Incoming>| async move {
        let (mut body, mut read) = (request.into_body(), 0);
        while read < bytes {
            let frame = body.frame().await.ok_or("too short")??;
            read += frame.data_ref().map_or(0, Bytes::len);
        }
        Err::<Response<Empty<Bytes>>, _>("reset".into())
    })
    .await
}

fn failed(server: SocketAddr) -> (String, Outcome) {
    (server.to_string(), Outcome::Failure(Failure::Other))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_servers_read_before_they_died_goes_to_the_next_with_the_rest() {
    for (version, stalls, sized) in [
        (Version::H1, true, true),
        (Version::H1, true, false),
        (Version::H1, false, true),
        (Version::H2, true, false),
        (Version::H2, false, true),
    ] {
        let mut steps: Vec<_> = frames(10, 1024).collect();
        if stalls {
            // The first two have the rest never.
            steps.insert(8, Step::Stall);
            steps.insert(5, Step::Stall);
        }
        let expected = All::of(&steps).data;
        let dying = match version {
            Version::H1 => [dies_after(3000).await, dies_after(6000).await],
            Version::H2 => [resets_after(3000).await, resets_after(6000).await],
        };
        let servers = [dying[0], dying[1], echo(version).await];
        let body = Script::new(steps).sized(sized);
        let answer = answer(version, &servers, Method::PUT, body)
            .await
            .expect("an answer");
        assert_eq!(answer.before, dying.map(failed), "{version:?}");
        let body = answer.body.collect().await.expect("a body").to_bytes();
        assert!(body == expected);
    }
}

#[tokio::test]
async fn a_post_that_never_left_goes_to_another_whatever_its_size() {
    for version in Version::BOTH {
        let (closed, refuses) = listen().await;
        drop(closed);
        let steps: Vec<_> = frames(64, 16 * 1024).collect();
        let expected = All::of(&steps).data;
        let servers = [refuses, echo(version).await];
        let body = Script::new(steps).sized(true);
        let answer = answer(version, &servers, Method::POST, body)
            .await
            .expect("an answer");
        let connect = Outcome::Failure(Failure::Connect);
        assert_eq!(answer.before, [(refuses.to_string(), connect)]);
        let body = answer.body.collect().await.expect("a body").to_bytes();
        assert!(body == expected);
    }
}

/// Sends a body to a server that dies, and makes sure that this was the only attempt.
async fn fails_at_once(method: Method, dies: SocketAddr, body: Script) {
    let servers = [dies, echo(Version::H1).await];
    let error = match answer(Version::H1, &servers, method, body).await {
        Ok(answer) => panic!("an answer, after {:?}", answer.before),
        Err(error) => error,
    };
    let attempts = error.attempts().iter();
    let attempts: Vec<_> = attempts
        .map(|of| (of.backend().to_owned(), of.outcome()))
        .collect();
    assert_eq!(attempts, [failed(dies)]);
    assert_eq!(error.backend(), Some(&*dies.to_string()));
    assert!(error.to_string().contains(&dies.to_string()), "{error}");
}

#[tokio::test]
async fn a_post_whose_server_has_died_is_not_sent_again() {
    let body = Script::new(frames(10, 1024));
    fails_at_once(Method::POST, dies_after(5000).await, body).await;
}

#[tokio::test]
async fn a_large_body_of_which_much_was_read_is_not_sent_again() {
    for sized in [true, false] {
        let body = Script::new(frames(64, 16 * 1024)).sized(sized);
        fails_at_once(Method::PUT, dies_after(100_000).await, body).await;
    }
}
