//! The proxy, backends, and clients that speak in bytes.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::Pool;
use evenkeel::http::proxy::{Client, ClientBuilder, IdleBody, Proxy, Server};
use evenkeel::http::{Address, BalanceLayer, OnBodyEnd, Recommended, ReplayBody, Via, recommended};
use hyper::body::Incoming;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tower::Layer;

pub(crate) type Sent = IdleBody<Incoming>;
pub(crate) type Stack =
    Recommended<Address, Sent, Via<Client<ReplayBody<Sent>>>, evenkeel::http::HttpOutcomes>;

/// A running proxy.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    pub(crate) pool: Pool<Address>,
    problems: Arc<Mutex<Vec<String>>>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

/// How it is to be.
pub(crate) struct Settings {
    pub(crate) client: ClientBuilder,
    pub(crate) server: Server,
    pub(crate) proxy: fn(Proxy<Stack>) -> Proxy<Stack>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            client: ClientBuilder::new(),
            server: Server::new(),
            proxy: |proxy| proxy,
        }
    }
}

impl Front {
    pub(crate) async fn start(backends: &[SocketAddr]) -> Self {
        Self::start_with(backends, Settings::default()).await
    }

    pub(crate) async fn start_with(backends: &[SocketAddr], settings: Settings) -> Self {
        let addresses = backends.iter().map(ToString::to_string);
        let pool = Pool::of_addresses(addresses).expect("addresses");
        let balance: evenkeel::Balance<_, _, _, OnBodyEnd> =
            BalanceLayer::least_requests(pool.clone()).layer(settings.client.build());
        let problems = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&problems);
        let proxy = (settings.proxy)(Proxy::new(recommended(balance))).on_problem(move |problem| {
            log.lock().expect("no panic").push(problem.to_string());
        });
        let listener = listen().await;
        let address = listener.local_addr().expect("its address");
        let (stop, stopped) = oneshot::channel::<()>();
        let accepting = settings.server;
        let served = tokio::spawn(async move {
            let stop = async {
                let _ = stopped.await;
            };
            accepting.serve(listener, proxy, stop).await;
        });
        Self {
            address,
            pool,
            problems,
            stop: Some(stop),
            served,
        }
    }

    /// What the log has.
    pub(crate) fn problems(&self) -> Vec<String> {
        self.problems.lock().expect("no panic").clone()
    }

    pub(crate) fn in_flight(&self) -> usize {
        let members = self.pool.list();
        members
            .iter()
            .map(evenkeel::backend::BackendInfo::in_flight)
            .sum()
    }

    /// Waits until no request is in flight.
    pub(crate) async fn is_settled(&self) {
        self.has_in_flight(0).await;
    }

    /// Waits until so many requests have ended at backends.
    pub(crate) async fn has_ended(&self, requests: u64) {
        let ended = || {
            let members = self.pool.list();
            members
                .iter()
                .map(|member| member.counts().total())
                .sum::<u64>()
        };
        let reached = async {
            while ended() != requests {
                sleep(Duration::from_millis(1)).await;
            }
        };
        within("the end of the requests", reached).await;
        self.is_settled().await;
    }

    pub(crate) async fn has_in_flight(&self, requests: usize) {
        let reached = async {
            while self.in_flight() != requests {
                sleep(Duration::from_millis(1)).await;
            }
        };
        within("the count of requests in flight", reached).await;
    }

    /// Begins to stop; the handle ends when it has.
    pub(crate) fn stop(mut self) -> JoinHandle<()> {
        drop(self.stop.take());
        self.served
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("it listens")
    }

    /// Sends bytes, and returns what comes back until the connection is closed.
    pub(crate) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.expect("it reads");
        rest(&mut stream).await
    }

    /// `GET /` on a connection of its own.
    pub(crate) async fn get(&self) -> String {
        let get = "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n";
        self.exchange(get).await
    }
}

pub(crate) async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a port")
}

/// Serves each connection with a function.
pub(crate) async fn backend<F, Fut>(serve: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = listen().await;
    let address = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Answers each connection's first request with these bytes, and closes it. Keeps the requests.
pub(crate) async fn answering(bytes: impl AsRef<[u8]>) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let bytes = bytes.as_ref().to_vec();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    let address = backend(move |mut stream| {
        let (bytes, requests) = (bytes.clone(), Arc::clone(&requests));
        async move {
            let request = head(&mut stream).await;
            if request.is_empty() {
                return;
            }
            requests.lock().expect("no panic").push(request);
            let _ = stream.write_all(&bytes).await;
        }
    });
    (address.await, seen)
}

/// Reads to the end of a head, and no further.
pub(crate) async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte).await {
            Ok(1) => head.push(byte[0]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Reads to the end of the connection, however it comes.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let reading = async {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut piece).await {
            read.extend_from_slice(&piece[..length]);
        }
    };
    within("the end of the connection", reading).await;
    String::from_utf8_lossy(&read).into_owned()
}

/// The status of an answer, as text.
pub(crate) fn status(answer: &str) -> &str {
    answer.get(9..12).unwrap_or(answer)
}

/// Waits for something that comes soon.
pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    let soon = timeout(Duration::from_secs(20), future).await;
    soon.unwrap_or_else(|_| panic!("{what} did not come"))
}
