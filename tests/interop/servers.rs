//! Servers that can be stopped as if their process had ended, and a look at the counts.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use evenkeel::backend::Counts;
use evenkeel::health::{Ejection, Health, Watching};
use evenkeel::http::Address;
use evenkeel::{Backend, Pool};
use http_body::Frame;
use http_body_util::StreamBody;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::Runtime;
use tokio_stream::StreamExt;

/// A server with a runtime of its own, and with it all of its connections.
pub(crate) struct Server {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Server {
    /// One on a free port.
    pub(crate) fn start(app: Router) -> Self {
        let mut server = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            runtime: None,
        };
        server.restart(app);
        server
    }

    /// Starts it anew where it was.
    pub(crate) fn restart(&mut self, app: Router) {
        self.kill();
        let runtime = Runtime::new().expect("a runtime");
        let socket = {
            let _inside = runtime.enter();
            let socket = TcpSocket::new_v4().expect("a socket");
            // Its port can have connections that have just ended.
            socket.set_reuseaddr(true).expect("it can be set");
            socket.bind(self.address).expect("its address is free");
            socket.listen(1024).expect("it listens")
        };
        self.address = socket.local_addr().expect("it has one");
        runtime.spawn(async move { axum::serve(socket, app).await });
        self.runtime = Some(runtime);
    }

    /// Ends it, and all of its connections.
    pub(crate) fn kill(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Not from within another runtime; and its sockets are closed when it has ended.
            let ended =
                std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(60)));
            ended.join().expect("it ends");
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// An address at which nobody listens, for as long as the socket is held.
pub(crate) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().expect("a socket");
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    socket.bind(any_port).expect("a free port");
    let address = socket.local_addr().expect("it has one");
    (socket, address)
}

/// An address at which connections are made, and nothing is ever answered.
pub(crate) async fn silent() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            connections.push(connection);
        }
    });
    address
}

/// An address at which a request is taken, and the connection ended.
pub(crate) async fn breaking() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("it has one");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let _ = connection.read(&mut [0; 1024]).await;
        }
    });
    address
}

/// What a backend can be asked for.
pub(crate) fn app(name: &'static str) -> Router {
    let trailers = async || {
        let mut trailers = HeaderMap::new();
        trailers.insert("checksum", HeaderValue::from_static("42"));
        let frames = [
            Frame::data(Bytes::from_static(b"data")),
            Frame::trailers(trailers),
        ];
        let frames = tokio_stream::iter(frames.map(Ok::<_, Infallible>));
        (
            [("trailer", "checksum")],
            Body::new(StreamBody::new(frames)),
        )
            .into_response()
    };
    // The second part never comes.
    let held = async || {
        let parts = tokio_stream::iter(["first", "second"]).then(async |part| {
            if part == "second" {
                pending::<()>().await;
            }
            Ok::<_, Infallible>(part)
        });
        Body::from_stream(Box::pin(parts))
    };
    let echo = async |request: Request| {
        let mut response = Response::new(Body::empty());
        // Without it trailers are not sent.
        if let Some(names) = request.headers().get("trailer") {
            response.headers_mut().insert("trailer", names.clone());
        }
        response.map(|_| request.into_body())
    };
    let status = async |Path(code): Path<u16>| StatusCode::from_u16(code).expect("a status");
    let long = async || "the same line\n".repeat(2_000);
    Router::new()
        .route("/name", any(async move || name))
        .route("/echo", post(echo))
        .route("/trailers", get(trailers))
        .route("/held", get(held))
        .route("/long", get(long))
        .route("/hang", get(pending::<()>))
        .route(
            "/panic",
            get(async || -> () { panic!("as it was asked to") }),
        )
        .route("/status/{code}", any(status))
        .route(
            "/elsewhere",
            get(async || (StatusCode::FOUND, [("location", "/name")])),
        )
}

/// Backends with these ids and addresses.
pub(crate) fn pool<const N: usize>(backends: [(&str, SocketAddr); N]) -> Pool<Address> {
    Pool::from(backends.map(|(id, address)| Backend::new(id, Address::from(address))))
}

/// Has the ends of requests counted, as long as it is kept; nobody is ejected.
pub(crate) fn count<T: Clone + Send + Sync + 'static>(pool: &Pool<T>) -> Watching {
    Health::new().ejection(Ejection::none()).spawn(pool)
}

pub(crate) fn in_flight<T: Clone>(pool: &Pool<T>, id: &str) -> usize {
    pool.get(id).expect("a member").in_flight()
}

/// How its requests have ended, if the pool is watched.
pub(crate) fn counts<T: Clone>(pool: &Pool<T>, id: &str) -> Counts {
    pool.get(id).expect("a member").counts()
}

/// Waits until nothing is in flight, which a server may notice a little later than its client.
pub(crate) async fn idle<T: Clone>(pool: &Pool<T>) {
    let busy = || pool.list().iter().any(|backend| backend.in_flight() > 0);
    eventually("nothing is in flight", async || !busy()).await;
}

/// Asks again and again; however slow the machine is, it has a minute.
pub(crate) async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), asked).await;
    assert!(in_time.is_ok(), "it never came that {what}");
}
