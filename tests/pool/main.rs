//! What the documentation of `Pool` promises.

#![cfg(feature = "tower")]

mod draining;
mod interleaving;
mod least;
mod membership;
mod misbehaving;
mod publishing;
mod threads;
mod total;

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use evenkeel::backend::Completion;
use evenkeel::{Backend, Balance, Error, Pool};
use proptest::prelude::ProptestConfig;
use tower::{Service, ServiceExt};

/// A backend's value, as a service that answers with itself.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Value(usize);

impl Service<()> for Value {
    type Response = usize;
    type Error = Infallible;
    type Future = Ready<Result<usize, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(self.0))
    }
}

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases)
    }
}

fn backend(id: &str, value: usize) -> Backend<Value> {
    Backend::new(id, Value(value))
}

fn ids<T: Clone>(pool: &Pool<T>) -> Vec<String> {
    let list = pool.list();
    list.iter().map(|info| info.id().to_owned()).collect()
}

/// Starts a request at the backend with this id, which has to be eligible.
fn start<T: Clone>(pool: &Pool<T>, id: &str) -> (T, Completion) {
    let started = pool.start(|set| (0..set.len()).find(|&rank| set.id(rank) == id));
    started.expect("it is eligible")
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The answer to a request that has no need to wait.
fn answer(balance: &Balance<Value, ()>) -> Result<usize, Error> {
    match poll(pin!(balance.clone().oneshot(()))) {
        Poll::Ready(answer) => answer,
        Poll::Pending => panic!("it waits"),
    }
}
