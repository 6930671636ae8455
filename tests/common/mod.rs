//! Services for tests, and a way to look at a pool.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::future::{Future, Ready, ready};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use evenkeel::Pool;
use tower::Service;

/// Answers at once with its name, and counts its calls.
#[derive(Clone)]
pub(crate) struct Echo {
    pub(crate) name: &'static str,
    pub(crate) calls: Arc<AtomicUsize>,
}

/// Requests in flight at a backend.
pub(crate) fn in_flight<T: Clone>(pool: &Pool<T>, id: &str) -> usize {
    pool.get(id).expect("a member").in_flight()
}

pub(crate) fn echo(name: &'static str) -> Echo {
    Echo {
        name,
        calls: Arc::default(),
    }
}

impl Echo {
    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }
}

impl Service<()> for Echo {
    type Response = &'static str;
    type Error = std::io::Error;
    type Future = Ready<Result<&'static str, std::io::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: ()) -> Self::Future {
        self.calls.fetch_add(1, Ordering::Relaxed);
        ready(Ok(self.name))
    }
}

/// A service whose readiness the test decides.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) name: &'static str,
    state: Arc<Mutex<GateState>>,
}

#[derive(Default)]
struct GateState {
    open: bool,
    broken: bool,
    wakers: Vec<Waker>,
}

impl Gate {
    pub(crate) fn closed(name: &'static str) -> Self {
        Self {
            name,
            state: Arc::default(),
        }
    }

    pub(crate) fn open(name: &'static str) -> Self {
        let gate = Self::closed(name);
        gate.set_open(true);
        gate
    }

    /// One whose `poll_ready` fails.
    pub(crate) fn broken(name: &'static str) -> Self {
        let gate = Self::closed(name);
        gate.state.lock().unwrap().broken = true;
        gate
    }

    pub(crate) fn break_down(&self) {
        let mut state = self.state.lock().unwrap();
        state.broken = true;
        state.wakers.drain(..).for_each(Waker::wake);
    }

    pub(crate) fn set_open(&self, open: bool) {
        let mut state = self.state.lock().unwrap();
        state.open = open;
        state.wakers.drain(..).for_each(Waker::wake);
    }
}

impl Service<()> for Gate {
    type Response = &'static str;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<&'static str, std::io::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        let mut state = self.state.lock().unwrap();
        if state.broken {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionRefused.into()));
        }
        if state.open {
            return Poll::Ready(Ok(()));
        }
        state.wakers.push(cx.waker().clone());
        Poll::Pending
    }

    fn call(&mut self, _request: ()) -> Self::Future {
        Box::pin(ready(Ok(self.name)))
    }
}
