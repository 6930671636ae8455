//! Backends that say who they are, and files that name them.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use super::client::within;

/// Answers each request with its name, after a while.
pub(crate) async fn backend(name: &'static str, takes: Duration) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, name, takes));
        }
    });
    address
}

pub(crate) async fn serve<IO>(stream: IO, name: &'static str, takes: Duration)
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let answer = async |_request: Request<Incoming>| {
        tokio::time::sleep(takes).await;
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(
            name.as_bytes(),
        ))))
    };
    let connection =
        http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
    let _ = connection.await;
}

/// Asks over a connection of its own.
pub(crate) async fn get(url: &str) -> (StatusCode, String) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let response = within("an answer", client.get(url.parse().expect("a URL"))).await;
    let (head, body) = response.expect("an answer").into_parts();
    let body = body.collect().await.expect("a whole body").to_bytes();
    (head.status, String::from_utf8(body.to_vec()).expect("text"))
}

/// A file of a test's own, which is gone when this is dropped.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let file = folder.join(format!("{}-{name}", std::process::id()));
        fs::write(&file, text).expect("it can be written");
        Self(file)
    }

    /// Replaces it at once, as an editor does.
    pub(crate) fn replace(&self, text: &str) {
        let new = self.0.with_extension("new");
        fs::write(&new, text).expect("it can be written");
        fs::rename(&new, &self.0).expect("it can be renamed");
    }

    pub(crate) fn path(&self) -> &str {
        self.0.to_str().expect("text")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A file that lists these.
pub(crate) fn listing(backends: &[SocketAddr]) -> String {
    let sections = backends.iter();
    let sections = sections.map(|at| format!("[[backend]]\naddress = \"{at}\"\n"));
    sections.collect()
}
