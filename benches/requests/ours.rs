//! Requests through this crate's `Balance`, and picks without one.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use evenkeel::Balance;
use evenkeel::picker::{self, Algorithm, Picker, Update};
use tower::Service;

use super::common::measure::Case;
use super::common::pool::{Weights, pool, within};

pub(crate) fn balance<T>(
    algorithm: Algorithm,
    size: usize,
    weights: Weights,
    value: &T,
) -> Balance<T, u64>
where
    T: Clone + Send + Sync + 'static,
{
    Balance::new(pool(size, weights, value), algorithm.picker())
}

/// Sends n requests one after the other, each through a clone of its own.
pub(crate) fn requests<S>(service: &S, n: u64)
where
    S: Service<u64> + Clone,
{
    let mut cx = Context::from_waker(Waker::noop());
    for request in 0..n {
        let mut service = black_box(service).clone();
        assert!(service.poll_ready(&mut cx).is_ready());
        let future = pin!(service.call(black_box(request)));
        let Poll::Ready(Ok(response)) = future.poll(&mut cx) else {
            unreachable!("no backend ever fails or has to be waited for");
        };
        black_box(response);
    }
}

/// Requests through a balance.
pub(crate) fn clone_and_call<T>(balance: Balance<T, u64>) -> Case
where
    T: Service<u64> + Clone + 'static,
    T::Error: Into<tower::BoxError>,
{
    Case::new(move |n| requests(&balance, n))
}

/// Picks from the pool's own set, by a picker that was prepared for it.
pub(crate) fn picks<T>(algorithm: Algorithm, balance: Balance<T, u64>) -> Case
where
    T: Clone + Send + Sync + 'static,
{
    let mut picker: Arc<dyn Picker<u64>> = algorithm.picker();
    within(balance.pool(), |set| {
        if let Some(prepared) = picker.prepare(&Update::new(set, set)) {
            picker = prepared;
        }
    });
    Case::new(move |n| {
        within(balance.pool(), |set| {
            for request in 0..n {
                let mut cx = picker::Context::new();
                black_box(picker.pick(black_box(set), &black_box(request), &mut cx));
            }
        });
    })
}
