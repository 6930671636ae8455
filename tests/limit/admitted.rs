use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use evenkeel::limit::{LimitLayer, Overloaded};
use evenkeel::{Backend, Balance, Pool};
use tower::{BoxError, Layer, Service, ServiceExt, service_fn};

use crate::setup::{Works, limit};

#[test]
fn a_limit_is_1_to_u32_max() {
    for refused in [0, 1 << 32, usize::MAX] {
        let error = LimitLayer::new(refused).unwrap_err().to_string();
        let expected =
            format!("invalid limit of requests in flight {refused}: expected 1 to 4294967295");
        assert_eq!(error, expected);
    }
    for max in [1, u32::MAX as usize] {
        assert_eq!(limit(max).queue(usize::MAX).max(), max);
    }
}

#[derive(Clone)]
struct Echo;

impl Service<u32> for Echo {
    type Response = u32;
    type Error = BoxError;
    type Future = Ready<Result<u32, BoxError>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: u32) -> Self::Future {
        ready(Ok(request))
    }
}

#[test]
fn where_there_is_room_nothing_is_allocated() {
    let mut service = limit(1).layer(Echo);
    let info = allocation_counter::measure(|| {
        for request in 0..100 {
            let response = pin!(service.call(request));
            let polled = response.poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Ready(Ok(echo)) if echo == request));
        }
    });
    assert_eq!(info.count_total, 0);
}

#[test]
fn readiness_is_that_of_the_inner_service_and_stays_with_whom_it_was_given_to() {
    /// Must be ready anew for each call.
    struct Strict {
        ready: bool,
        calls: Arc<Mutex<Vec<u32>>>,
    }

    impl Clone for Strict {
        fn clone(&self) -> Self {
            Self {
                ready: false,
                calls: Arc::clone(&self.calls),
            }
        }
    }

    impl Service<u32> for Strict {
        type Response = ();
        type Error = BoxError;
        type Future = std::future::Pending<Result<(), BoxError>>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            self.ready = true;
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: u32) -> Self::Future {
            assert!(std::mem::take(&mut self.ready), "it was not ready");
            self.calls.lock().unwrap().push(request);
            std::future::pending()
        }
    }

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let _runtime = runtime.enter();
    let strict = Strict {
        ready: false,
        calls: Arc::default(),
    };
    let mut cx = Context::from_waker(Waker::noop());
    let mut service = limit(1).layer(strict.clone());
    let mut call = |request| {
        assert!(service.poll_ready(&mut cx).is_ready());
        Box::pin(service.call(request))
    };
    let first = call(1);
    let mut second = call(2);
    let mut third = call(3);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(second.as_mut().poll(&mut cx).is_pending());
    assert!(third.as_mut().poll(&mut cx).is_pending());
    drop(first);
    assert!(second.as_mut().poll(&mut cx).is_pending());
    drop(second);
    assert!(third.as_mut().poll(&mut cx).is_pending());
    assert_eq!(*strict.calls.lock().unwrap(), [1, 2, 3]);
}

#[test]
fn without_a_runtime_nobody_waits() {
    let mut service = limit(1).layer(Works::new());
    let _first = service.call(1);
    let second = pin!(service.call(2));
    let Poll::Ready(Err(error)) = second.poll(&mut Context::from_waker(Waker::noop())) else {
        panic!("it waits without a timer");
    };
    assert!(error.is::<Overloaded>());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_inner_service_gives_the_permit_back() {
    let calls = service_fn(|request: bool| {
        assert!(request, "in the call");
        async { panic!("in the future") as Result<(), BoxError> }
    });
    let layer = limit(1);
    for request in [true, false, true] {
        let service = layer.layer(calls);
        let outcome = tokio::spawn(async move { service.oneshot(request).await }).await;
        assert!(outcome.unwrap_err().is_panic());
        assert_eq!((layer.in_flight(), layer.queued()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_one_layer_wraps_share_its_limit() {
    let layer = limit(2).queue(0);
    let works = Works::new();
    let other = layer.clone().layer(works.clone());
    let _held = [layer.layer(works.clone()).call(1), other.clone().call(2)];
    assert!(other.oneshot(3).await.unwrap_err().is::<Overloaded>());
    assert_eq!(works.order(), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_balance_can_be_limited() {
    let echo = service_fn(|request: u32| async move { Ok::<_, Infallible>(request) });
    let pool = Pool::from([Backend::new("a", echo), Backend::new("b", echo)]);
    let service = limit(1).layer(Balance::round_robin(pool));
    assert_eq!(service.oneshot(7).await.unwrap(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_dropped_has_stopped_before_its_permit_is_given_back() {
    /// Notes how many are in flight when it is dropped.
    struct Notes(LimitLayer, Arc<AtomicUsize>);

    impl Drop for Notes {
        fn drop(&mut self) {
            self.1.store(self.0.in_flight(), Ordering::SeqCst);
        }
    }

    let (layer, seen) = (limit(1), Arc::new(AtomicUsize::new(0)));
    let notes = Notes(layer.clone(), Arc::clone(&seen));
    let works = Works::new();
    let notes = Arc::new(Mutex::new(Some(notes)));
    let service = service_fn(move |request: u32| {
        let notes = notes.lock().unwrap().take();
        let work = works.clone().oneshot(request);
        async move {
            let _notes = notes;
            work.await
        }
    });
    let mut request = Box::pin(layer.layer(service).oneshot(1));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(request.as_mut().poll(&mut cx).is_pending());
    drop(request);
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    assert_eq!(layer.in_flight(), 0);
}
