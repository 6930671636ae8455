use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower::BoxError;

use crate::time::{later, now};

pin_project! {
    /// A body that breaks off when nothing of it comes for some time.
    ///
    /// The time counts while somebody waits for the next piece, and begins anew with each. Size hint
    /// and end of stream are those of the body inside.
    ///
    /// # Errors
    ///
    /// Those of the body inside, and an [`io::Error`] of the kind [`TimedOut`](io::ErrorKind::TimedOut).
    ///
    /// # Cost
    ///
    /// Nothing for a body that is there when it is asked for. Otherwise a timer, allocated once.
    ///
    /// # Examples
    ///
    /// ```
    /// use evenkeel::http::proxy::IdleBody;
    /// use http_body_util::{BodyExt, Full};
    /// use std::time::Duration;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower::BoxError> {
    /// let body = IdleBody::new(Full::new("text".as_bytes()), Duration::from_secs(60));
    /// assert_eq!(body.collect().await?.to_bytes(), "text");
    /// # Ok(())
    /// # }
    /// ```
    #[derive(Debug)]
    pub struct IdleBody<B> {
        #[pin]
        body: B,
        timeout: Duration,
        timer: Option<Pin<Box<Sleep>>>,
        // Whether the timer runs since the last piece.
        waiting: bool,
    }
}

impl<B> IdleBody<B> {
    /// Wraps a body. [`Duration::MAX`] means no limit.
    pub fn new(body: B, timeout: Duration) -> Self {
        Self {
            body,
            timeout,
            timer: None,
            waiting: false,
        }
    }

    /// Returns the body inside.
    pub fn get_ref(&self) -> &B {
        &self.body
    }
}

impl<B> Body for IdleBody<B>
where
    B: Body<Error: Into<BoxError>>,
{
    type Data = B::Data;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BoxError>>> {
        let this = self.project();
        if let Poll::Ready(frame) = this.body.poll_frame(cx) {
            *this.waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if *this.timeout == Duration::MAX {
            return Poll::Pending;
        }
        let timer = this
            .timer
            .get_or_insert_with(|| Box::pin(sleep(*this.timeout)));
        if !*this.waiting {
            *this.waiting = true;
            timer.as_mut().reset(later(now(), *this.timeout).into());
        }
        timer.as_mut().poll(cx).map(|()| {
            *this.waiting = false;
            let timed_out = format!("nothing more came for {:?}", this.timeout);
            let timed_out = io::Error::new(io::ErrorKind::TimedOut, timed_out);
            Some(Err(timed_out.into()))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use bytes::Bytes;
    use http_body_util::{BodyExt, StreamBody};
    use tokio::sync::mpsc;
    use tokio::time::Instant;
    use tokio_stream::wrappers::ReceiverStream;

    use super::*;

    type Pieces = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;

    fn slow_body() -> (Pieces, impl Body<Data = Bytes, Error = BoxError> + Unpin) {
        let (pieces, body) = mpsc::channel(1);
        let body = StreamBody::new(ReceiverStream::new(body));
        (pieces, IdleBody::new(body, Duration::from_secs(60)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_which_something_always_comes_in_time_is_never_broken_off() {
        let (pieces, body) = slow_body();
        tokio::spawn(async move {
            for _ in 0..10 {
                sleep(Duration::from_secs(59)).await;
                let piece = Frame::data(Bytes::from_static(b"a"));
                pieces.send(Ok(piece)).await.expect("it is read");
            }
        });
        let whole = body.collect().await.expect("it is whole").to_bytes();
        assert_eq!(whole, "aaaaaaaaaa");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_which_nothing_comes_is_broken_off() {
        let (pieces, mut body) = slow_body();
        let begin = Instant::now();
        let piece = Frame::data(Bytes::from_static(b"a"));
        pieces.send(Ok(piece)).await.expect("there is room");
        body.frame().await.expect("a piece").expect("no error");
        let error = body.frame().await.expect("an end").expect_err("it is idle");
        assert_eq!(begin.elapsed().as_secs(), 60);
        let error = error.downcast::<io::Error>().expect("an io::Error");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(error.to_string(), "nothing more came for 60s");
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_asks_does_not_count() {
        let (pieces, mut body) = slow_body();
        let piece = || Frame::data(Bytes::from_static(b"a"));
        pieces.send(Ok(piece())).await.expect("there is room");
        body.frame().await.expect("a piece").expect("no error");
        sleep(Duration::from_secs(3600)).await;
        tokio::spawn(async move {
            sleep(Duration::from_secs(30)).await;
            pieces.send(Ok(piece())).await.expect("it is read");
        });
        body.frame().await.expect("a piece").expect("no error");
    }
}
