use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake};
use std::time::Duration;

use evenkeel::limit::LimitLayer;
use tokio::task::JoinHandle;
use tower::{BoxError, Layer, Service, ServiceExt};

use crate::setup::{Works, limit, settle};

type Requests = Vec<JoinHandle<Result<u32, BoxError>>>;

/// Requests 0 to `count - 1`, one after the other.
async fn requests(layer: &LimitLayer, works: &Works, count: u32) -> Requests {
    let mut requests = Vec::new();
    for request in 0..count {
        let service = layer.layer(works.clone());
        requests.push(tokio::spawn(service.oneshot(request)));
        settle().await;
    }
    requests
}

#[tokio::test(start_paused = true)]
async fn those_who_wait_are_served_oldest_first_or_newest_first() {
    for (layer, expected) in [
        (limit(1), [0, 1, 2, 3, 4]),
        (limit(1).newest_first(), [0, 4, 3, 2, 1]),
    ] {
        let works = Works::new();
        let requests = requests(&layer, &works, 5).await;
        assert_eq!((layer.in_flight(), layer.queued()), (1, 4));
        for _ in 0..5 {
            works.end(1).await;
        }
        for request in requests {
            request.await.unwrap().unwrap();
        }
        assert_eq!(works.order(), expected);
        assert_eq!((layer.in_flight(), layer.queued()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_does_not_overtake_one_who_was_called_and_has_not_run_yet() {
    let (layer, works) = (limit(1), Works::new());
    let mut service = layer.layer(works.clone());
    let first = service.call(0);
    let mut waits = task(service.call(1));
    assert!(waits.poll().is_pending());
    drop(first);
    // There is room, for the one who waits.
    assert_eq!((layer.in_flight(), waits.wakes()), (0, 1));
    let mut newcomer = task(service.call(2));
    assert!(newcomer.poll().is_pending());
    assert_eq!(newcomer.wakes(), 0);
    assert!(waits.poll().is_pending());
    assert_eq!(works.order(), [0, 1]);
    drop(waits);
    assert_eq!(newcomer.wakes(), 1);
    assert!(newcomer.poll().is_pending());
    assert_eq!(works.order(), [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn one_who_was_called_and_is_dropped_hands_that_on() {
    let (layer, works) = (limit(1), Works::new());
    let mut service = layer.layer(works.clone());
    let first = service.call(0);
    let [mut second, mut third] = [1, 2].map(|request| task(service.call(request)));
    assert!(second.poll().is_pending() && third.poll().is_pending());
    drop(first);
    assert_eq!((second.wakes(), third.wakes()), (1, 0));
    drop(second);
    assert_eq!(third.wakes(), 1);
    assert!(third.poll().is_pending());
    assert_eq!(works.order(), [0, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_raised_limit_admits_as_many_as_it_was_raised_by() {
    let (layer, works) = (limit(1), Works::new());
    let requests = requests(&layer, &works, 6).await;
    layer.set_max(4).unwrap();
    settle().await;
    assert_eq!(works.order(), [0, 1, 2, 3]);
    assert_eq!((layer.in_flight(), layer.queued()), (4, 2));
    works.end(6).await;
    for request in requests {
        request.await.unwrap().unwrap();
    }
    assert_eq!(works.most(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_lowered_limit_lets_requests_end_before_it_admits_more() {
    let (layer, works) = (limit(3), Works::new());
    let requests = requests(&layer, &works, 5).await;
    layer.set_max(1).unwrap();
    assert_eq!((layer.max(), layer.in_flight(), layer.queued()), (1, 3, 2));
    works.end(2).await;
    assert_eq!((layer.in_flight(), layer.queued()), (1, 2));
    works.end(1).await;
    assert_eq!((layer.in_flight(), layer.queued()), (1, 1));
    works.end(2).await;
    for request in requests {
        request.await.unwrap().unwrap();
    }
    assert!(layer.set_max(0).is_err());
    assert_eq!(layer.max(), 1);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_who_wait_are_each_woken_once() {
    const WAITING: u32 = 10_000;
    let (layer, works) = (limit(1).queue(WAITING as usize), Works::new());
    let layer = layer.max_wait(Duration::from_secs(3600));
    let mut service = layer.layer(works.clone());
    let mut current = task(service.call(0));
    let mut waiting: Vec<_> = (1..=WAITING)
        .map(|request| task(service.call(request)))
        .collect();
    for request in &mut waiting {
        assert!(request.poll().is_pending());
    }
    assert_eq!(layer.queued(), WAITING as usize);
    // Every third goes away.
    let mut at = 0;
    waiting.retain(|_| {
        at += 1;
        at % 3 != 0
    });
    let left = waiting.len();
    for mut next in waiting {
        assert_eq!(next.wakes(), 0);
        drop(current);
        assert_eq!(next.wakes(), 1);
        assert!(next.poll().is_pending());
        current = next;
    }
    drop(current);
    assert_eq!(works.order().len(), left + 1);
    assert!(works.order().is_sorted());
    assert_eq!((layer.in_flight(), layer.queued()), (0, 0));
}

/// A future that is polled by hand.
struct Task<F> {
    future: std::pin::Pin<Box<F>>,
    wakes: Arc<Wakes>,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

fn task<F: Future>(future: F) -> Task<F> {
    Task {
        future: Box::pin(future),
        wakes: Arc::default(),
    }
}

impl<F: Future> Task<F> {
    fn poll(&mut self) -> Poll<F::Output> {
        let waker = Arc::clone(&self.wakes).into();
        self.future.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn wakes(&self) -> usize {
        self.wakes.0.load(Ordering::SeqCst)
    }
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}
