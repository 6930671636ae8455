//! Servers on ports of their own, a client, and a body that is piped.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tower::BoxError;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Version {
    H1,
    H2,
}

impl Version {
    pub(crate) const BOTH: [Self; 2] = [Self::H1, Self::H2];
}

pub(crate) async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// A server that answers like this; a request whose answer is an error is reset.
pub(crate) async fn serve<F, R, B>(version: Version, answer: F) -> SocketAddr
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + 'static,
    R: Future<Output = Result<Response<B>, BoxError>> + Send + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (stream, service) = (TokioIo::new(stream), service_fn(answer.clone()));
            tokio::spawn(async move {
                let _ = match version {
                    Version::H1 => {
                        http1::Builder::new()
                            .serve_connection(stream, service)
                            .await
                    }
                    Version::H2 => {
                        let builder = http2::Builder::new(TokioExecutor::new());
                        builder.serve_connection(stream, service).await
                    }
                };
            });
        }
    });
    address
}

/// A server that sends back the body, its trailers and the headers that tell its length.
pub(crate) async fn echo(version: Version) -> SocketAddr {
    serve(version, async |request: Request<Incoming>| {
        let mut response = Response::builder();
        for name in [CONTENT_LENGTH, TRANSFER_ENCODING] {
            if let Some(value) = request.headers().get(&name) {
                response = response.header(format!("request-{name}"), value);
            }
        }
        let body = request.into_body().collect().await?;
        for (name, value) in body.trailers().into_iter().flatten() {
            response = response.header(name, value);
        }
        Ok(response.body(Full::new(body.to_bytes()))?)
    })
    .await
}

/// A server that closes each connection once it has read so many bytes.
pub(crate) async fn dies_after(bytes: usize) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut buffer = vec![0; bytes];
            let _ = stream.read_exact(&mut buffer).await;
        }
    });
    address
}

/// A client of its own: nothing is kept alive from before.
pub(crate) fn client<B>(version: Version) -> Client<HttpConnector, B>
where
    B: Body<Data: Send> + Send,
{
    let mut client = Client::builder(TokioExecutor::new());
    client.http2_only(version == Version::H2);
    client.build_http()
}

pub(crate) type Frames = mpsc::Sender<Result<Frame<Bytes>, Infallible>>;
pub(crate) type Piped = StreamBody<ReceiverStream<Result<Frame<Bytes>, Infallible>>>;

/// A body that comes when the test says so.
pub(crate) fn piped() -> (Frames, Piped) {
    let (frames, body) = mpsc::channel(16);
    (frames, StreamBody::new(ReceiverStream::new(body)))
}

pub(crate) async fn send(frames: &Frames, bytes: impl Into<Bytes>) {
    let sent = frames.send(Ok(Frame::data(bytes.into()))).await;
    sent.expect("the body is there");
}
