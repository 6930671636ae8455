//! The same requests through tower's p2c `Balance`.

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tower::balance::p2c::Balance;
use tower::buffer::Buffer;
use tower::discover::ServiceList;
use tower::load::{CompleteOnResponse, Load, PeakEwma, PendingRequests};
use tower::{Service, ServiceExt};

use super::common::measure::Case;
use super::common::services::NoOp;

type List<S> = ServiceList<Vec<S>>;

/// Counts requests in flight, as `least-requests` needs it.
pub(crate) fn pending_requests() -> PendingRequests<NoOp> {
    PendingRequests::new(NoOp, CompleteOnResponse::default())
}

/// Measures latency as well, as `least-response-time` needs it.
pub(crate) fn peak_ewma() -> PeakEwma<NoOp> {
    const DECAY: Duration = Duration::from_secs(10);
    let decay = DECAY.as_nanos() as f64;
    PeakEwma::new(
        NoOp,
        Duration::from_secs(1),
        decay,
        CompleteOnResponse::default(),
    )
}

/// Requests through one instance, by its only owner: it is not `Clone`.
pub(crate) fn bare<S>(size: usize, service: fn() -> S) -> Case
where
    S: Service<u64, Response = u64> + Load + 'static,
    S::Error: Into<tower::BoxError>,
    S::Metric: std::fmt::Debug,
{
    let mut balance = balance(size, service);
    let mut cx = Context::from_waker(Waker::noop());
    Case::new(move |n| {
        for request in 0..n {
            let balance = black_box(&mut balance);
            while balance.poll_ready(&mut cx).is_pending() {}
            let future = pin!(balance.call(black_box(request)));
            let Poll::Ready(Ok(response)) = future.poll(&mut cx) else {
                unreachable!("no backend ever fails or has to be waited for");
            };
            black_box(response);
        }
    })
}

/// Requests of `tasks` tasks at once through a `Buffer`, by which it can be shared.
///
/// Clients and worker take turns on a current-thread runtime. The clients are spawned, since that
/// spares them the wake-ups through the operating system that `block_on` itself would need.
pub(crate) fn behind_buffer<S>(size: usize, service: fn() -> S, tasks: u64) -> Case
where
    S: Service<u64, Response = u64> + Load + Send + 'static,
    S::Error: Into<tower::BoxError> + Send + Sync,
    S::Future: Send,
    S::Metric: std::fmt::Debug,
{
    const BOUND: usize = 1024;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers needs nothing");
    let buffer = {
        let _inside = runtime.enter();
        Buffer::new(balance(size, service), BOUND)
    };
    Case::new(move |n| {
        let clients: Vec<_> = (0..tasks)
            .map(|task| {
                let buffer = buffer.clone();
                // Shares of n that differ by one at most.
                let share = (n + task) / tasks;
                runtime.spawn(async move {
                    for request in 0..share {
                        let mut buffer = black_box(&buffer).clone();
                        let service = buffer.ready().await.expect("the worker runs");
                        let response = service.call(black_box(request)).await;
                        black_box(response.expect("no backend ever fails"));
                    }
                })
            })
            .collect();
        runtime.block_on(async {
            for client in clients {
                client.await.expect("no client panics");
            }
        });
    })
}

fn balance<S>(size: usize, service: fn() -> S) -> Balance<List<S>, u64>
where
    S: Service<u64> + Load,
    S::Error: Into<tower::BoxError>,
    S::Metric: std::fmt::Debug,
{
    let services: Vec<S> = (0..size).map(|_| service()).collect();
    Balance::new(ServiceList::new::<u64>(services))
}
