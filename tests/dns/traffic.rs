//! HTTP servers and requests to them, through a balance.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::Pool;
use evenkeel::http::{Address, BalanceLayer};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Bytes;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinSet;
use tower::{Layer, ServiceExt};

use crate::until;

/// HTTP servers with one port on several addresses of the loopback interface.
pub(crate) struct Servers {
    pub(crate) port: u16,
    requests: Vec<Arc<AtomicUsize>>,
    _tasks: JoinSet<()>,
}

impl Servers {
    pub(crate) fn start(count: u8) -> Self {
        let listen = |port: u16| -> io::Result<Vec<TcpListener>> {
            let first = TcpListener::bind(("127.0.0.1", port))?;
            let port = first.local_addr()?.port();
            let others = (2..=count)
                .map(|last| TcpListener::bind(SocketAddr::from(([127, 0, 0, last], port))));
            std::iter::once(Ok(first)).chain(others).collect()
        };
        let listeners = loop {
            if let Ok(listeners) = listen(0) {
                break listeners;
            }
        };
        let port = listeners[0].local_addr().unwrap().port();
        let mut tasks = JoinSet::new();
        let mut requests = Vec::new();
        for listener in listeners {
            let count = Arc::new(AtomicUsize::new(0));
            requests.push(Arc::clone(&count));
            tasks.spawn(serve(listener, count));
        }
        Self {
            port,
            requests,
            _tasks: tasks,
        }
    }

    pub(crate) fn ids(&self, of: &[u8]) -> Vec<String> {
        let id = |last: &u8| format!("127.0.0.{last}:{}", self.port);
        of.iter().map(id).collect()
    }

    pub(crate) fn requests(&self, of: u8) -> usize {
        self.requests[usize::from(of) - 1].load(Ordering::Relaxed)
    }
}

async fn serve(listener: TcpListener, count: Arc<AtomicUsize>) {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let count = Arc::clone(&count);
        let answer = service_fn(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
            async { Ok::<_, io::Error>(hyper::Response::new(Full::<Bytes>::from("here"))) }
        });
        connections.spawn(async move {
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), answer);
            let _ = serving.await;
        });
    }
}

/// Requests without a pause, each of which must be answered.
pub(crate) struct Requests {
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Requests {
    pub(crate) fn start(pool: &Pool<Address>) -> Self {
        let answered = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        for _ in 0..4 {
            let client = Client::builder(TokioExecutor::new()).build_http();
            let client = BalanceLayer::round_robin(pool.clone()).layer(client);
            let (answered, stop) = (Arc::clone(&answered), Arc::clone(&stop));
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let request = hyper::Request::get("http://api.test/");
                    let request = request.body(Empty::<Bytes>::new()).unwrap();
                    let response = client.clone().oneshot(request).await.unwrap();
                    let body = response.into_body().collect().await.unwrap();
                    assert_eq!(body.to_bytes(), "here");
                    answered.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
        }
        Self {
            answered,
            stop,
            tasks,
        }
    }

    pub(crate) async fn until_more(&self, count: usize) {
        let goal = self.answered.load(Ordering::Relaxed) + count;
        until("more requests", || {
            self.answered.load(Ordering::Relaxed) >= goal
        })
        .await;
    }

    /// Panics if one has failed.
    pub(crate) async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(joined) = self.tasks.join_next().await {
            joined.unwrap();
        }
    }
}
