use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use evenkeel::http::HeldBody;
use evenkeel::limit::LimitLayer;
use http::{HeaderMap, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::setup::{limit, settle};

type Item = Result<Frame<Bytes>, io::Error>;

/// These frames, and it may know when it has ended.
struct Frames {
    frames: VecDeque<Item>,
    knows: bool,
}

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Item>> {
        Poll::Ready(self.frames.pop_front())
    }

    fn is_end_stream(&self) -> bool {
        self.knows && self.frames.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(42)
    }
}

fn data() -> Frame<Bytes> {
    Frame::data(Bytes::from_static(b"data"))
}

async fn respond<const N: usize>(
    frames: [Item; N],
    knows: bool,
) -> (LimitLayer<impl Sized>, HeldBody<Frames>) {
    let frames = Arc::new(Mutex::new(VecDeque::from(frames)));
    let service = service_fn(move |_: Request<()>| {
        let frames = std::mem::take(&mut *frames.lock().unwrap());
        async move { Ok::<_, BoxError>(Response::new(Frames { frames, knows })) }
    });
    let layer = limit(1).count_to_body_end();
    let response = layer
        .layer(service)
        .oneshot(Request::new(()))
        .await
        .unwrap();
    (layer, response.into_body())
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_held_until_the_body_says_that_it_has_ended() {
    let (layer, mut body) = respond([Ok(data()), Ok(data())], false).await;
    for _ in 0..2 {
        assert!(body.frame().await.unwrap().unwrap().is_data());
        assert_eq!(layer.in_flight(), 1);
    }
    assert!(body.frame().await.is_none());
    assert_eq!(layer.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_knows_its_end_gives_the_permit_back_with_its_last_frame() {
    let (layer, mut body) = respond([Ok(data()), Ok(data())], true).await;
    body.frame().await.unwrap().unwrap();
    assert_eq!(layer.in_flight(), 1);
    body.frame().await.unwrap().unwrap();
    assert_eq!(layer.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn trailers_errors_and_a_drop_give_the_permit_back() {
    let trailers = Ok(Frame::trailers(HeaderMap::new()));
    for last in [trailers, Err(io::ErrorKind::BrokenPipe.into())] {
        let (layer, mut body) = respond([last], false).await;
        assert_eq!(layer.in_flight(), 1);
        drop(body.frame().await.unwrap());
        assert_eq!(layer.in_flight(), 0);
    }
    let (layer, body) = respond([Ok(data())], false).await;
    assert_eq!(layer.in_flight(), 1);
    drop(body);
    assert_eq!(layer.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_holds_nothing() {
    let (layer, body) = respond([], true).await;
    assert_eq!(layer.in_flight(), 0);
    assert!(body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn size_and_end_are_those_of_the_body_inside() {
    let (_layer, body) = respond([Ok(data())], true).await;
    let body = pin!(body);
    assert_eq!(body.size_hint().exact(), Some(42));
    assert!(!body.is_end_stream() && !body.get_ref().is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_admitted_when_the_body_before_has_ended() {
    let layer = limit(1).count_to_body_end();
    let service = layer.layer(service_fn(|_: Request<()>| async {
        Ok::<_, BoxError>(Response::new("body".to_owned()))
    }));
    let first = service.clone().oneshot(Request::new(())).await.unwrap();
    let waiting = tokio::spawn(service.oneshot(Request::new(())));
    settle().await;
    assert_eq!((layer.in_flight(), layer.queued()), (1, 1));
    first.into_body().collect().await.unwrap();
    waiting.await.unwrap().unwrap();
    assert_eq!((layer.in_flight(), layer.queued()), (0, 0));
}
