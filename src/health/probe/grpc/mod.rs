mod message;
mod status;

use std::fmt;
use std::marker::PhantomData;
use std::pin::pin;

use bytes::{Buf, BufMut, Bytes};
use http::header::{CONTENT_TYPE, HeaderValue, TE};
use http::response::Parts;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body;
use tower::BoxError;
use tower_service::Service;

use self::message::{Serving, request_of, serving_of};
use self::status::GrpcStatus;
use super::http::exchange::{next_frame, send};
use super::{Answer, Probe, Target};
use crate::http::Address;

/// The response to a check is a few bytes long.
const RESPONSE_LIMIT: usize = 16 * 1024;

/// A backend is healthy when its gRPC health service says `SERVING`.
///
/// It calls `Check` of `grpc.health.v1.Health`, at backends that are [`Address`]es, with any client
/// that speaks HTTP/2; hyper-util's does so over plain TCP with `http2_only(true)`. `B` is the body
/// of its requests.
///
/// | what comes | what it means |
/// | --- | --- |
/// | `SERVING` | healthy |
/// | `NOT_SERVING`, or any other status | not healthy |
/// | `grpc-status` 12, `UNIMPLEMENTED`: a server without a health service | healthy |
/// | any other `grpc-status` but 0; 5, `NOT_FOUND`: the server does not know the service | not healthy |
/// | anything that is no gRPC, or is longer than 16384 bytes | not healthy |
///
/// # Cancel safety
///
/// Dropping the future drops the client's, which is to give up the request.
///
/// # Examples
///
/// ```
/// use evenkeel::health::{Answer, GrpcProbe, Probe, Target};
/// use evenkeel::http::Address;
/// use http::{Request, Response};
/// use http_body_util::{Empty, Full};
/// use hyper::body::Bytes;
/// use tower::service_fn;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Any HTTP/2 client: hyper-util's, or this one, for which nobody is ever well.
/// let client = service_fn(async |request: Request<Full<Bytes>>| {
///     assert_eq!(request.uri(), "http://10.0.0.1:50051/grpc.health.v1.Health/Check");
///     Response::builder()
///         .header("content-type", "application/grpc")
///         .header("grpc-status", "14")
///         .header("grpc-message", "going down")
///         .body(Empty::<Bytes>::new())
/// });
/// let probe = GrpcProbe::new(client).service("shop.Cart");
///
/// let address: Address = "10.0.0.1:50051".parse()?;
/// let reason = probe.probe(Target::new("a", address)).await.unwrap_err();
/// assert_eq!(reason.to_string(), "grpc-status 14 UNAVAILABLE: \"going down\"");
/// # Ok(())
/// # }
/// ```
///
/// # References
///
/// [The protocol](https://github.com/grpc/grpc/blob/master/doc/health-checking.md);
/// [gRFC A17](https://github.com/grpc/proposal/blob/master/A17-client-side-health-checking.md), by
/// which a server without a health service is healthy.
#[must_use]
pub struct GrpcProbe<C, B> {
    client: C,
    service: String,
    body: PhantomData<fn() -> B>,
}

/// The response is not that of a healthy server.
#[derive(Debug, thiserror::Error)]
enum Unhealthy {
    #[error("no gRPC response: status {}, expected 200", .0.as_u16())]
    Status(StatusCode),
    #[error("no gRPC response: content-type {0:?}, expected application/grpc")]
    ContentType(String),
    #[error("the response broke off")]
    BrokenOff(#[source] BoxError),
    #[error("the response is longer than {RESPONSE_LIMIT} bytes")]
    TooLong,
    #[error("the response has no grpc-status at its end")]
    NoStatus,
    #[error("{0} is {1}, expected SERVING")]
    NotServing(Asked, Serving),
}

/// The service that was asked about.
#[derive(Debug)]
struct Asked(String);

impl<C, B> GrpcProbe<C, B>
where
    C: Service<Request<B>>,
{
    /// Asks with a client.
    pub fn new(client: C) -> Self {
        Self {
            client,
            service: String::new(),
            body: PhantomData,
        }
    }
}

impl<C, B> GrpcProbe<C, B> {
    /// Sets the service to ask about, as the server has it: mostly its full name, such as
    /// `shop.Cart`. Default: the empty name, which is the server as a whole.
    pub fn service(self, name: impl Into<String>) -> Self {
        let service = name.into();
        Self { service, ..self }
    }

    fn request(&self, address: &Address) -> Request<B>
    where
        B: From<Bytes>,
    {
        let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
        let mut request = Request::new(B::from(request_of(&self.service)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = address.uri(path);
        // A client that has only HTTP/1.1 can refuse it then.
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(TE, HeaderValue::from_static("trailers"));
        request
    }

    fn answer(&self, message: &[u8]) -> Result<Answer, BoxError> {
        match serving_of(message)? {
            Serving::SERVING => Ok(Answer::Healthy),
            serving => Err(Unhealthy::NotServing(Asked(self.service.clone()), serving).into()),
        }
    }
}

impl<C, B, RB> Probe<Address> for GrpcProbe<C, B>
where
    C: Service<Request<B>, Response = Response<RB>> + Clone + Send + Sync + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    B: From<Bytes> + Send + 'static,
    RB: Body + Send,
    RB::Error: Into<BoxError>,
{
    async fn probe(&self, target: Target<Address>) -> Result<Answer, BoxError> {
        let request = self.request(target.value());
        let (head, body) = send(self.client.clone(), request).await?.into_parts();
        // An error without a message has its status where others have their headers.
        let early = GrpcStatus::of(&head.headers);
        if let Some(status) = &early
            && !status.is_ok()
        {
            return status.clone().into_answer();
        }
        check_head(&head)?;
        let (message, late) = read(body).await?;
        let status = late.or(early).ok_or(Unhealthy::NoStatus)?;
        if status.is_ok() {
            self.answer(&message)
        } else {
            status.into_answer()
        }
    }
}

fn check_head(head: &Parts) -> Result<(), Unhealthy> {
    if head.status != StatusCode::OK {
        return Err(Unhealthy::Status(head.status));
    }
    let value = head.headers.get(CONTENT_TYPE);
    let value = value.map_or(&b""[..], HeaderValue::as_bytes);
    if !value.starts_with(b"application/grpc") {
        let value = String::from_utf8_lossy(value).into_owned();
        return Err(Unhealthy::ContentType(value));
    }
    Ok(())
}

/// Reads a body and the status after it.
async fn read<B>(body: B) -> Result<(Vec<u8>, Option<GrpcStatus>), Unhealthy>
where
    B: Body<Error: Into<BoxError>>,
{
    let mut body = pin!(body);
    let mut message = Vec::new();
    while let Some(frame) = next_frame(&mut body).await {
        let frame = frame.map_err(|error| Unhealthy::BrokenOff(error.into()))?;
        match frame.into_data() {
            Ok(data) if data.remaining() > RESPONSE_LIMIT - message.len() => {
                return Err(Unhealthy::TooLong);
            }
            Ok(data) => message.put(data),
            Err(frame) => {
                let status = frame.trailers_ref().and_then(GrpcStatus::of);
                return Ok((message, status));
            }
        }
    }
    Ok((message, None))
}

impl<C: Clone, B> Clone for GrpcProbe<C, B> {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            service: self.service.clone(),
            body: PhantomData,
        }
    }
}

impl<C, B> fmt::Debug for GrpcProbe<C, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GrpcProbe")
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            "" => f.write_str("the server"),
            service => write!(f, "the service {service}"),
        }
    }
}
