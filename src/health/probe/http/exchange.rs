//! One request, one response.

use std::future::poll_fn;
use std::pin::Pin;

use http::{Method, Request, Response, Uri};
use http_body::{Body, Frame};
use tower::BoxError;
use tower_service::Service;

/// The client has no response for us.
#[derive(Debug, thiserror::Error)]
#[error("no response to {method} {uri}")]
struct NoResponse {
    method: Method,
    uri: Uri,
    source: BoxError,
}

/// Waits until the client is ready, and sends the request.
pub(crate) async fn send<C, B, RB>(client: C, request: Request<B>) -> Result<Response<RB>, BoxError>
where
    C: Service<Request<B>, Response = Response<RB>, Error: Into<BoxError>>,
{
    let (method, uri) = (request.method().clone(), request.uri().clone());
    call_when_ready(client, request).await.map_err(|source| {
        let error = NoResponse {
            method,
            uri,
            source,
        };
        error.into()
    })
}

async fn call_when_ready<C, Req>(mut client: C, request: Req) -> Result<C::Response, BoxError>
where
    C: Service<Req, Error: Into<BoxError>>,
{
    let ready = poll_fn(|cx| client.poll_ready(cx));
    ready.await.map_err(Into::into)?;
    client.call(request).await.map_err(Into::into)
}

/// Reads the next part of a body.
pub(crate) async fn next_frame<B: Body>(
    body: &mut Pin<&mut B>,
) -> Option<Result<Frame<B::Data>, B::Error>> {
    poll_fn(|cx| body.as_mut().poll_frame(cx)).await
}
