//! A copy that waits while the one before is sent over another connection, which another thread
//! serves.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use evenkeel::http::{CannotReplay, ReplayBody};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower::BoxError;

use crate::servers::{Frames, Piped, Version, client, piped, send, serve};

const ROUNDS: usize = 20;

#[derive(Debug, PartialEq)]
enum Saw {
    Head,
    Data(Bytes),
    End,
    /// The request broke off.
    Broken,
}

/// What a server sees, in order.
struct Seen(mpsc::UnboundedReceiver<Saw>);

impl Seen {
    async fn next(&mut self) -> Saw {
        let next = timeout(Duration::from_secs(20), self.0.recv()).await;
        next.expect("in time").expect("the server is there")
    }

    async fn data(&mut self, expected: &str) {
        let mut text = String::new();
        while text.len() < expected.len() {
            match self.next().await {
                Saw::Data(data) => text.push_str(std::str::from_utf8(&data).expect("text")),
                other => panic!("{other:?} after {text}"),
            }
        }
        assert_eq!(text, expected);
    }
}

/// A server that reads, and answers at the end unless it `holds`.
async fn server(version: Version, holds: bool) -> (SocketAddr, Seen) {
    let (tell, seen) = mpsc::unbounded_channel();
    let answer = move |request: Request<Incoming>| {
        let tell = tell.clone();
        let tell = move |saw| drop(tell.send(saw));
        async move {
            tell(Saw::Head);
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                match frame {
                    Ok(frame) => {
                        // HTTP/2 can end with a frame of nothing.
                        if let Ok(data) = frame.into_data()
                            && !data.is_empty()
                        {
                            tell(Saw::Data(data));
                        }
                    }
                    Err(error) => {
                        tell(Saw::Broken);
                        return Err(BoxError::from(error));
                    }
                }
            }
            tell(Saw::End);
            if holds {
                std::future::pending::<()>().await;
            }
            Ok(Response::new(Full::new(Bytes::new())))
        }
    };
    (serve(version, answer).await, Seen(seen))
}

type Sent = JoinHandle<Result<(), BoxError>>;

fn sent(version: Version, server: SocketAddr, body: ReplayBody<Piped>) -> Sent {
    tokio::spawn(async move {
        let request = Request::post(format!("http://{server}/")).body(body)?;
        client(version).request(request).await?;
        Ok(())
    })
}

/// Two copies, of which the first has sent `one` and the second has come to wait.
struct Two {
    frames: Frames,
    first: Sent,
    first_seen: Seen,
    second: Sent,
    second_seen: Seen,
}

async fn two(version: Version, max_bytes: usize) -> Two {
    let (frames, body) = piped();
    let body = ReplayBody::with_max_bytes(body, max_bytes);
    let (holds, mut first_seen) = server(version, true).await;
    let (answers, mut second_seen) = server(version, false).await;
    let first = sent(version, holds, body.clone());
    send(&frames, "one").await;
    assert_eq!(first_seen.next().await, Saw::Head);
    first_seen.data("one").await;
    let second = sent(version, answers, body);
    assert_eq!(second_seen.next().await, Saw::Head);
    Two {
        frames,
        first,
        first_seen,
        second,
        second_seen,
    }
}

async fn ended(sent: Sent) -> Result<(), BoxError> {
    let ended = timeout(Duration::from_secs(20), sent).await;
    ended.expect("in time").expect("no panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_is_given_up_lets_the_next_have_its_body() {
    for version in Version::BOTH.repeat(ROUNDS) {
        let mut two = two(version, 64).await;
        two.first.abort();
        two.second_seen.data("one").await;
        send(&two.frames, "two").await;
        drop(two.frames);
        two.second_seen.data("two").await;
        assert_eq!(two.second_seen.next().await, Saw::End);
        ended(two.second).await.expect("an answer");
        assert_eq!(two.first_seen.next().await, Saw::Broken);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_is_read_to_its_end_lets_the_next_have_its_body() {
    for version in Version::BOTH.repeat(ROUNDS) {
        let mut two = two(version, 64).await;
        send(&two.frames, "two").await;
        two.first_seen.data("two").await;
        drop(two.frames);
        assert_eq!(two.first_seen.next().await, Saw::End);
        two.second_seen.data("onetwo").await;
        assert_eq!(two.second_seen.next().await, Saw::End);
        ended(two.second).await.expect("an answer");
        assert!(!two.first.is_finished());
        two.first.abort();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_request_that_sends_more_than_is_kept_ends_the_wait_of_the_next() {
    for version in Version::BOTH.repeat(ROUNDS) {
        let mut two = two(version, 5).await;
        send(&two.frames, "two").await;
        let error = ended(two.second).await.expect_err("it cannot be sent");
        let mut next = Some(&*error as &dyn Error);
        while let Some(error) = next.filter(|error| !error.is::<CannotReplay>()) {
            next = error.source();
        }
        // Over HTTP/2, hyper says no more than that the stream was reset from here.
        assert_eq!(next.is_some(), version == Version::H1, "{error:?}");
        assert_eq!(two.second_seen.next().await, Saw::Broken);
        // The first goes on.
        two.first_seen.data("two").await;
        drop(two.frames);
        assert_eq!(two.first_seen.next().await, Saw::End);
        two.first.abort();
    }
}
