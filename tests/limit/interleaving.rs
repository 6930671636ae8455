use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::limit::Overloaded;
use tower::{BoxError, Layer, ServiceExt, service_fn};

use crate::setup::limit;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answers(u64),
    Fails(u64),
    Panics(u64),
}

/// Counts itself while it is alive.
struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn work(fate: Fate) -> Result<(), BoxError> {
    let (Fate::Answers(time) | Fate::Fails(time) | Fate::Panics(time)) = fate;
    if time > 0 {
        tokio::time::sleep(Duration::from_micros(time)).await;
    }
    match fate {
        Fate::Answers(_) => Ok(()),
        Fate::Fails(_) => Err("broken".into()),
        Fate::Panics(_) => std::panic::resume_unwind(Box::new("panicked")),
    }
}

/// 64 tasks with requests of any fate, given up at any time, while the maximum changes. Returns how
/// often the requests ended in each way.
async fn storm(seed: u64, newest_first: bool) -> [usize; 5] {
    const MAX: usize = 7;
    let mut layer = limit(MAX).queue(40).max_wait(Duration::from_millis(2));
    if newest_first {
        layer = layer.newest_first();
    }
    let now = Arc::new(AtomicUsize::new(0));
    let exceeded = Arc::new(AtomicBool::new(false));
    let service = {
        let exceeded = Arc::clone(&exceeded);
        service_fn(move |fate| {
            let at_work = AtWork(Arc::clone(&now));
            if now.fetch_add(1, Ordering::SeqCst) + 1 > MAX {
                exceeded.store(true, Ordering::SeqCst);
            }
            async move {
                let result = work(fate).await;
                drop(at_work);
                result
            }
        })
    };
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let mut random = fastrand::Rng::with_seed(seed ^ (task << 32));
            let (service, layer) = (layer.layer(service.clone()), layer.clone());
            tokio::spawn(async move {
                let mut ends = [0; 5];
                for _ in 0..100 {
                    let time = random.u64(0..1000);
                    let fate = match random.u8(0..8) {
                        0 => Fate::Fails(time),
                        1 => Fate::Panics(time),
                        2 => Fate::Answers(0),
                        _ => Fate::Answers(time),
                    };
                    if task == 0 {
                        layer.set_max(random.usize(1..=MAX)).unwrap();
                    }
                    let request = tokio::spawn(service.clone().oneshot(fate));
                    let patience = match random.u8(0..4) {
                        0 => random.u64(0..3000),
                        _ => 1_000_000,
                    };
                    if random.u8(..) < 30 {
                        tokio::task::yield_now().await;
                        request.abort();
                    }
                    let abort = request.abort_handle();
                    let patience = Duration::from_micros(patience);
                    let end = match tokio::time::timeout(patience, request).await {
                        Ok(Ok(Ok(()))) => 0,
                        Ok(Ok(Err(error))) if error.is::<Overloaded>() => 1,
                        Ok(Ok(Err(_))) => 2,
                        Ok(Err(error)) if error.is_panic() => 3,
                        Ok(Err(_)) | Err(_) => 4,
                    };
                    abort.abort();
                    ends[end] += 1;
                }
                ends
            })
        })
        .collect();
    let mut ends = [0; 5];
    for task in tasks {
        let of_task = task.await.unwrap();
        ends.iter_mut()
            .zip(of_task)
            .for_each(|(all, one)| *all += one);
    }
    // Those that were given up last are still to be dropped.
    let left = || (layer.in_flight(), layer.queued());
    for _ in 0..10_000 {
        if left() == (0, 0) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(left(), (0, 0), "seed {seed}, newest first {newest_first}");
    let exceeded = exceeded.load(Ordering::SeqCst);
    assert!(!exceeded, "seed {seed}, newest first {newest_first}");
    // And there is room for as many as there may be.
    layer.set_max(2).unwrap();
    let service = layer.layer(service);
    for _ in 0..2 {
        service.clone().oneshot(Fate::Answers(1)).await.unwrap();
    }
    ends
}

#[tokio::test(start_paused = true)]
async fn never_more_than_the_maximum_and_nothing_is_left_whatever_becomes_of_requests() {
    for newest_first in [false, true] {
        for _ in 0..5 {
            let seed = fastrand::u64(..);
            let ends = storm(seed, newest_first).await;
            assert!(
                ends.iter().all(|&end| end > 5),
                "seed {seed} tries too little: {ends:?}"
            );
        }
    }
}

#[test]
fn nor_on_several_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    for newest_first in [false, true] {
        runtime.block_on(storm(fastrand::u64(..), newest_first));
    }
}
