//! Requests through a service, one after the other.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use tower::Service;

use super::measure::Case;

/// Sends n requests, each through a clone of its own.
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
pub(crate) fn clone_and_call<S>(balance: S) -> Case
where
    S: Service<u64> + Clone + 'static,
{
    Case::new(move |n| requests(&balance, n))
}
