use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::limit::{Hold, LimitLayer, Permit};

/// Holds the permit of a [limit](crate::limit) until the response body has ended, was dropped, or
/// broke off.
///
/// A body that is empty has ended at once, except that of an upgrade (101), which is held until it
/// is read or dropped: by whoever has the connection then.
///
/// # Examples
///
/// ```
/// use evenkeel::limit::LimitLayer;
/// use http::{Request, Response};
/// use tower::{BoxError, Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let service = service_fn(|_request: Request<()>| async {
///     Ok::<_, BoxError>(Response::new("a body".to_owned()))
/// });
/// let limit = LimitLayer::new(10)?.count_to_body_end();
///
/// let response = limit.layer(service).oneshot(Request::new(())).await?;
/// assert_eq!(limit.in_flight(), 1);
/// drop(response);
/// assert_eq!(limit.in_flight(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct UntilBodyEnd;

impl<B: Body> Hold<Response<B>> for UntilBodyEnd {
    type Response = Response<HeldBody<B>>;

    fn hold(&self, response: Response<B>, permit: Permit) -> Self::Response {
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return response.map(|body| HeldBody {
                body,
                permit: Some(permit),
            });
        }
        response.map(|body| HeldBody::new(body, permit))
    }
}

impl<H> LimitLayer<H> {
    /// Counts each request as in flight until its response body has ended; see [`UntilBodyEnd`].
    pub fn count_to_body_end(self) -> LimitLayer<UntilBodyEnd> {
        self.hold(UntilBodyEnd)
    }
}

pin_project! {
    /// A response body that holds something until it ends: the permit of a limit, or whatever else
    /// counts its request.
    ///
    /// Size hint and end of stream are those of the body inside.
    #[derive(Debug)]
    pub struct HeldBody<B, P = Permit> {
        #[pin]
        body: B,
        permit: Option<P>,
    }
}

impl<B: Body, P> HeldBody<B, P> {
    pub(super) fn new(body: B, permit: P) -> Self {
        let permit = (!body.is_end_stream()).then_some(permit);
        Self { body, permit }
    }

    #[cfg(feature = "load-reports")]
    pub(super) fn holding_nothing(body: B) -> Self {
        Self { body, permit: None }
    }
}

impl<B, P> HeldBody<B, P> {
    /// Returns the body inside.
    pub fn get_ref(&self) -> &B {
        &self.body
    }
}

impl<B: Body, P> Body for HeldBody<B, P> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let mut this = self.project();
        let frame = ready!(this.body.as_mut().poll_frame(cx));
        let ended = match &frame {
            Some(Ok(frame)) => frame.is_trailers() || this.body.is_end_stream(),
            Some(Err(_)) | None => true,
        };
        if ended {
            *this.permit = None;
        }
        Poll::Ready(frame)
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
    use http::Request;
    use http_body_util::Empty;
    use tower::{BoxError, Layer, ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn an_upgrade_is_held_as_long_as_its_body_and_other_empty_bodies_are_not() {
        let limit = LimitLayer::new(10).expect("a limit").count_to_body_end();
        let answer = |status| {
            let service = service_fn(move |_request: Request<()>| async move {
                let response = Response::builder().status(status);
                response
                    .body(Empty::<&'static [u8]>::new())
                    .map_err(BoxError::from)
            });
            limit.layer(service).oneshot(Request::new(()))
        };
        let upgraded = answer(101).await.expect("an answer");
        assert_eq!(limit.in_flight(), 1);
        let empty = answer(204).await.expect("an answer");
        assert_eq!(limit.in_flight(), 1);
        drop(upgraded);
        assert_eq!(limit.in_flight(), 0);
        drop(empty);
    }
}
