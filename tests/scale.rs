//! Large pools: memory, and that nothing is lost where much changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use evenkeel::discover::{Follow, Update, once};
use evenkeel::picker::{Adaptive, LeastRequests, Selector};
use evenkeel::{Backend, Pool};
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;

const BACKENDS: usize = 20_000;

fn ids() -> Vec<Arc<str>> {
    (0..BACKENDS)
        .map(|at| Arc::from(format!("backend-{at}")))
        .collect()
}

fn pool(ids: &[Arc<str>]) -> Pool<()> {
    let pool = Pool::new();
    pool.replace_all(ids.iter().map(|id| Backend::new(Arc::clone(id), ())));
    pool
}

#[test]
fn a_backend_takes_at_most_256_bytes_beside_its_id_and_value() {
    let ids = ids();
    let mut kept = None;
    let info = allocation_counter::measure(|| {
        let pool = pool(&ids);
        let selector = Selector::<_, str>::new(pool.clone(), LeastRequests::new());
        kept = Some((pool, selector));
    });
    let each = info.bytes_current as f64 / BACKENDS as f64;
    assert!(each <= 256.0, "{each} bytes for each backend");
}

/// A picker's tables share what is the same, so that requests that were picked by older ones do not
/// keep a table for all backends each.
#[test]
fn requests_that_last_while_backends_come_and_go_keep_little() {
    let ids = ids();
    let pool = pool(&ids);
    let selector = Selector::<_, str>::new(pool.clone(), Adaptive::new());
    let mut running = Vec::new();
    let info = allocation_counter::measure(|| {
        for id in &ids[..100] {
            running.push(selector.select("").unwrap());
            pool.remove(id);
            pool.insert(Backend::new(Arc::clone(id), ()));
        }
    });
    let each = info.bytes_current as f64 / running.len() as f64;
    // A table of its own would be 16 bytes for each of 20,000.
    assert!(each < 40_000.0, "{each} bytes for each request");
    drop(running);
    assert!(pool.list().iter().all(|info| info.in_flight() == 0));
}

#[test]
fn nothing_is_lost_while_thousands_change_and_two_threads_pick() {
    let ids = ids();
    let pool = pool(&ids);
    let selector = Selector::<_, str>::new(pool.clone(), LeastRequests::new());
    let stop = AtomicBool::new(false);
    let (says, updates) = mpsc::unbounded_channel();
    let feeding = pool.clone();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(selector.select("").expect("somebody is always there"));
                }
            });
        }
        scope.spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build();
            let follow = Follow::new(once("changes", UnboundedReceiverStream::new(updates)));
            let follow = follow.merge_within(Duration::from_millis(10));
            runtime.unwrap().block_on(follow.feed(&feeding));
        });
        // Each is said to be there with a weight; then every second one is taken out again.
        for (at, hundred) in ids.chunks(100).enumerate() {
            let weight = at as u32 + 2;
            let put = |update: Update<()>, id: &Arc<str>| {
                update.put(Backend::new(Arc::clone(id), ()).weight(weight))
            };
            says.send(Ok(hundred.iter().fold(Update::changes(), put)))
                .unwrap();
        }
        for hundred in ids.chunks(100) {
            let gone = hundred.iter().step_by(2);
            let remove = |update: Update<()>, id: &Arc<str>| update.remove(Arc::clone(id));
            says.send(Ok(gone.fold(Update::changes(), remove))).unwrap();
        }
        drop(says);
        while pool.len() > BACKENDS / 2 {
            std::thread::sleep(Duration::from_millis(1));
        }
        stop.store(true, Ordering::Relaxed);
    });
    for (at, id) in ids.iter().enumerate() {
        let weight = pool.get(id).map(|info| info.weight());
        let expected = (at % 2 == 1).then_some(at as u32 / 100 + 2);
        assert_eq!(weight, expected, "{id}");
    }
    assert!(pool.list().iter().all(|info| info.in_flight() == 0));
}
