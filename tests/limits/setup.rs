use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use evenkeel::set::{Limits, Rules};
use evenkeel::{Backend, Pool};
use tokio::sync::Semaphore;
use tower::{BoxError, Service};

/// A server that works until the test lets a request go on; knows who came, and how many at once.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    state: Arc<State>,
}

struct State {
    done: Semaphore,
    came: Mutex<Vec<u32>>,
    now: AtomicUsize,
}

/// One at work, until it is dropped.
struct AtWork(Arc<State>);

impl Server {
    pub(crate) fn new(name: &'static str) -> Self {
        let state = State {
            done: Semaphore::new(0),
            came: Mutex::default(),
            now: AtomicUsize::new(0),
        };
        Self {
            name,
            state: Arc::new(state),
        }
    }

    /// Who came, in which order.
    pub(crate) fn came(&self) -> Vec<u32> {
        self.state.came.lock().unwrap().clone()
    }

    pub(crate) fn now(&self) -> usize {
        self.state.now.load(Ordering::SeqCst)
    }

    /// So many requests end.
    pub(crate) async fn end(&self, requests: usize) {
        self.state.done.add_permits(requests);
        settle().await;
    }
}

impl AtWork {
    fn new(state: &Arc<State>) -> Self {
        state.now.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(state))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<u32> for Server {
    type Response = &'static str;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<&'static str, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        let at_work = AtWork::new(&self.state);
        self.state.came.lock().unwrap().push(request);
        let name = self.name;
        Box::pin(async move {
            at_work.0.done.acquire().await?.forget();
            Ok(name)
        })
    }
}

/// Servers `a`, `b`, `c` and so on, and the pool of them.
pub(crate) fn pool<const N: usize>(limits: Limits) -> (Pool<Server>, [Server; N]) {
    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];
    let servers = std::array::from_fn(|at| Server::new(NAMES[at]));
    let pool = Pool::new();
    pool.set_rules(Rules::new().limits(limits));
    for server in &servers {
        pool.insert(Backend::new(server.name, server.clone()));
    }
    (pool, servers)
}

/// Until nobody gets on any more.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_micros(1)).await;
}

/// A future that is polled by hand.
pub(crate) struct Task<F> {
    future: Pin<Box<F>>,
    wakes: Arc<Wakes>,
    seen: AtomicUsize,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

pub(crate) fn task<F: Future>(future: F) -> Task<F> {
    Task {
        future: Box::pin(future),
        wakes: Arc::default(),
        seen: AtomicUsize::new(0),
    }
}

impl<F: Future> Task<F> {
    pub(crate) fn poll(&mut self) -> Poll<F::Output> {
        let waker = Arc::clone(&self.wakes).into();
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Whether it was woken since [`was_woken`](Self::was_woken) was asked last.
    pub(crate) fn is_woken(&self) -> bool {
        self.wakes() > self.seen.load(Ordering::SeqCst)
    }

    /// Whether it was woken since this was asked last.
    pub(crate) fn was_woken(&self) -> bool {
        self.wakes() > self.seen.swap(self.wakes(), Ordering::SeqCst)
    }

    /// How often it was woken.
    pub(crate) fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
