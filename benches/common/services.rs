//! The services that are balanced over.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tower::Service;

/// Does nothing, so that what is measured is what is around it.
#[derive(Clone, Copy)]
pub(crate) struct NoOp;

/// Keeps a core busy for a while.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    steps: u32,
}

impl Service<u64> for NoOp {
    type Response = u64;
    type Error = Infallible;
    type Future = Ready<Result<u64, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        ready(Ok(request))
    }
}

impl Work {
    /// Work that takes this long on an undisturbed core.
    pub(crate) fn lasting(time: Duration) -> Self {
        const STEPS: u32 = 100_000;
        let trial = |_| {
            let start = Instant::now();
            black_box(multiply(black_box(1), STEPS));
            start.elapsed()
        };
        let quickest = (0..20).map(trial).min().unwrap_or_default();
        let step = quickest.as_nanos() as f64 / f64::from(STEPS);
        Self {
            steps: (time.as_nanos() as f64 / step) as u32,
        }
    }
}

impl Service<u64> for Work {
    type Response = u64;
    type Error = Infallible;
    type Future = Ready<Result<u64, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u64) -> Self::Future {
        ready(Ok(multiply(request, self.steps)))
    }
}

/// A chain of multiplications, each of which needs the one before.
fn multiply(start: u64, steps: u32) -> u64 {
    (0..steps).fold(start | 1, |value, _| {
        (value ^ value >> 29).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    })
}
