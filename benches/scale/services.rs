//! Services for addresses: made when they are needed, and dropped when they are idle.

use std::future::{Ready, ready};
use std::io;
use std::task::{Context, Poll};
use std::time::Instant;

use evenkeel::{Backend, Balance, Pool};
use tower::{Service, ServiceExt, service_fn};

use super::common::report::Table;
use super::{Plan, ids};

/// What is made for an address: as large as a connection's handle and its buffers may be.
#[derive(Clone)]
struct Connection(std::sync::Arc<[u8]>);

impl Service<()> for Connection {
    type Response = usize;
    type Error = io::Error;
    type Future = Ready<io::Result<usize>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(self.0.len()))
    }
}

pub(crate) fn measure(plan: &Plan) {
    let ids = ids(plan.backends);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.expect("a runtime");
    let make = service_fn(|_: usize| async { Ok::<_, io::Error>(Connection([0; 1024].into())) });
    let mut table = Table::new(
        "Services of 1 KiB for each address, made when they are needed",
        ["made", "bytes each", "ms"].map(str::to_owned),
    );
    let mut row = |name: &str, made: usize, bytes: i64, took: Option<Instant>| {
        let took = took.map_or(f64::NAN, |took| took.elapsed().as_secs_f64() * 1e3);
        let each = bytes as f64 / plan.backends as f64;
        table.row(
            name,
            [made.to_string(), format!("{each:.0}"), format!("{took:.1}")],
        );
    };
    let how_many = |pool: &Pool<evenkeel::connect::Connected<Connection>>| {
        let ids = ids.iter();
        ids.filter(|id| pool.value(id).is_some_and(|value| value.is_made()))
            .count()
    };

    let mut pool = None;
    let start = Instant::now();
    let backends = ids.iter().enumerate();
    let info = allocation_counter::measure(|| {
        let backends = backends.map(|(at, id)| Backend::new(id.clone(), at));
        pool = Some(Pool::connected(make, backends));
    });
    let pool = pool.expect("it was made");
    let mut bytes = info.bytes_current;
    row("the pool", how_many(&pool), bytes, Some(start));

    let balance = Balance::<_, ()>::round_robin(pool.clone());
    let requests = plan.backends / 100;
    let start = Instant::now();
    let info = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..requests {
                balance.clone().oneshot(()).await.expect("it is answered");
            }
        });
    });
    bytes += info.bytes_current;
    row(
        "after a request to 1 % of them",
        how_many(&pool),
        bytes,
        Some(start),
    );

    pool.drop_unused();
    let start = Instant::now();
    let info = allocation_counter::measure(|| assert_eq!(pool.drop_unused(), requests));
    bytes += info.bytes_current;
    row("after they were idle", how_many(&pool), bytes, Some(start));
    table.print();
}
