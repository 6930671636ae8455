use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel::limit::LimitLayer;
use tokio::sync::Semaphore;
use tower::{BoxError, Service};

/// Works until the test lets a request go on, in any order; knows who came in which order, and how
/// many at once.
#[derive(Clone)]
pub(crate) struct Works {
    pub(crate) state: Arc<State>,
}

pub(crate) struct State {
    pub(crate) done: Semaphore,
    pub(crate) order: Mutex<Vec<u32>>,
    now: AtomicUsize,
    pub(crate) most: AtomicUsize,
}

/// One at work, until it is dropped.
struct AtWork(Arc<State>);

impl Works {
    pub(crate) fn new() -> Self {
        let state = State {
            done: Semaphore::new(0),
            order: Mutex::default(),
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        };
        Self {
            state: Arc::new(state),
        }
    }

    pub(crate) fn order(&self) -> Vec<u32> {
        self.state.order.lock().unwrap().clone()
    }

    pub(crate) fn most(&self) -> usize {
        self.state.most.load(Ordering::SeqCst)
    }

    /// So many requests end.
    pub(crate) async fn end(&self, requests: usize) {
        self.state.done.add_permits(requests);
        settle().await;
    }
}

impl AtWork {
    fn new(state: &Arc<State>) -> Self {
        let now = state.now.fetch_add(1, Ordering::SeqCst) + 1;
        state.most.fetch_max(now, Ordering::SeqCst);
        Self(Arc::clone(state))
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Service<u32> for Works {
    type Response = u32;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<u32, BoxError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        let at_work = AtWork::new(&self.state);
        self.state.order.lock().unwrap().push(request);
        Box::pin(async move {
            at_work.0.done.acquire().await?.forget();
            Ok(request)
        })
    }
}

/// Until nobody gets on any more.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_micros(1)).await;
}

pub(crate) fn limit(max: usize) -> LimitLayer {
    LimitLayer::new(max).expect("at least one")
}
