//! Services that are made when they are first needed, once, and anew when they break.

mod common;

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use evenkeel::Backoff;
use evenkeel::connect::{Connect, IdleTimeout};
use evenkeel::{Backend, Balance, Pool};
use tokio::time::Instant;
use tower::{Service, ServiceExt, service_fn};

/// Makes connections after a delay, and fails while it is told to.
#[derive(Clone, Default)]
struct Maker {
    made: Arc<AtomicUsize>,
    down: Arc<AtomicBool>,
    connections: Arc<Mutex<Vec<Connection>>>,
    delay: Duration,
}

#[derive(Clone, Debug)]
struct Connection {
    number: usize,
    broken: Arc<AtomicBool>,
}

impl Service<&'static str> for Maker {
    type Response = Connection;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Connection>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _address: &'static str) -> Self::Future {
        let maker = self.clone();
        Box::pin(async move {
            let number = maker.made.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(maker.delay).await;
            if maker.down.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let connection = Connection {
                number,
                broken: Arc::default(),
            };
            maker.connections.lock().unwrap().push(connection.clone());
            Ok(connection)
        })
    }
}

impl Service<()> for Connection {
    type Response = usize;
    type Error = io::Error;
    type Future = std::future::Ready<io::Result<usize>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.broken.load(Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _request: ()) -> Self::Future {
        std::future::ready(Ok(self.number))
    }
}

impl Maker {
    fn with_delay(delay: Duration) -> Self {
        Self {
            delay,
            ..Self::default()
        }
    }

    fn made(&self) -> usize {
        self.made.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_made_before_it_is_needed_and_once_for_all_who_need_it() {
    let maker = Maker::with_delay(Duration::from_millis(50));
    let pool = Pool::connected(maker.clone(), [Backend::new("a", "a")]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(maker.made(), 0);
    let balance = Balance::round_robin(pool);
    let requests: Vec<_> = (0..100)
        .map(|_| tokio::spawn(balance.clone().oneshot(())))
        .collect();
    for request in requests {
        assert_eq!(request.await.unwrap().unwrap(), 0);
    }
    assert_eq!(maker.made(), 1);
}

#[tokio::test(start_paused = true)]
async fn making_goes_on_when_the_request_that_started_it_goes_elsewhere_or_gives_up() {
    let maker = Maker::with_delay(Duration::from_millis(50));
    let pool = Pool::connected(maker.clone(), [Backend::new("a", "a")]);
    let balance = Balance::round_robin(pool);
    let cut = tokio::time::timeout(Duration::from_millis(1), balance.clone().oneshot(())).await;
    assert!(cut.is_err());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(maker.connections.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_broke_is_made_anew() {
    let maker = Maker::default();
    let balance = Balance::round_robin(Pool::connected(maker.clone(), [Backend::new("a", "a")]));
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 0);
    maker.connections.lock().unwrap()[0]
        .broken
        .store(true, Ordering::Relaxed);
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_cannot_be_reached_is_left_alone_for_the_back_off_and_then_tried_again() {
    let maker = Maker::default();
    maker.down.store(true, Ordering::Relaxed);
    let backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(8)).unwrap();
    let connect = Connect::new(maker.clone()).backoff(backoff);
    let balance = Balance::round_robin([Backend::new("a", connect.to("a"))]);

    let start = Instant::now();
    for tries in 1..=5 {
        let error = balance.clone().oneshot(()).await.unwrap_err();
        assert_eq!(maker.made(), tries);
        assert!(
            error
                .to_string()
                .ends_with("a failed (cannot connect: connection refused)"),
            "{error}"
        );
        // Between half and all of 1, 2, 4, 8, 8 s.
        let full = Duration::from_secs(1 << (tries - 1).min(3));
        let wait = error.retry_after().expect("a back-off is known");
        assert!(full / 2 <= wait && wait <= full, "{wait:?} of {full:?}");
        // Within it, requests fail at once and nothing is tried.
        tokio::time::sleep(wait / 2).await;
        balance.clone().oneshot(()).await.unwrap_err();
        assert_eq!(maker.made(), tries);
        tokio::time::sleep(wait).await;
    }
    assert!(start.elapsed() < Duration::from_secs(60));

    maker.down.store(false, Ordering::Relaxed);
    assert_eq!(balance.clone().oneshot(()).await.unwrap(), 5);
}

#[tokio::test(start_paused = true)]
async fn requests_go_elsewhere_while_an_address_is_backing_off() {
    let (up, down) = (Maker::default(), Maker::default());
    down.down.store(true, Ordering::Relaxed);
    let pool = Pool::from([
        Backend::new("down", Connect::new(down.clone()).to("down")),
        Backend::new("up", Connect::new(up).to("up")),
    ]);
    let balance = Balance::round_robin(pool);
    for _ in 0..100 {
        balance.clone().oneshot(()).await.unwrap();
    }
    assert_eq!(down.made(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_breaks_before_it_was_ever_ready_counts_as_a_failure_to_connect() {
    // Without that, this would make a new one again and again within one poll.
    let make = service_fn(|_: &'static str| async {
        Ok::<_, io::Error>(Connection {
            number: 0,
            broken: Arc::new(AtomicBool::new(true)),
        })
    });
    let balance = Balance::round_robin(Pool::connected(make, [Backend::new("a", "a")]));
    let error = balance.oneshot(()).await.unwrap_err();
    assert!(error.retry_after().is_some());
}

#[tokio::test(start_paused = true)]
async fn making_ends_when_the_pool_is_dropped() {
    let maker = Maker::with_delay(Duration::from_secs(5));
    let balance = Balance::round_robin(Pool::connected(maker.clone(), [Backend::new("a", "a")]));
    let request = tokio::spawn(balance.oneshot(()));
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert_eq!(maker.made(), 1);
    request.abort();
    let _ = request.await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(maker.connections.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_maker_that_panics_has_failed_and_is_asked_again() {
    let calls = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&calls);
    let make = service_fn(move |_: &'static str| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            assert!(number > 0, "the first time");
            Ok::<_, io::Error>(Connection {
                number,
                broken: Arc::default(),
            })
        }
    });
    let balance = Balance::round_robin(Pool::connected(make, [Backend::new("a", "a")]));
    let error = balance.clone().oneshot(()).await.unwrap_err();
    let wait = error.retry_after().expect("it backs off");
    tokio::time::sleep(wait).await;
    assert_eq!(balance.oneshot(()).await.unwrap(), 1);
}

#[test]
fn an_address_that_was_being_connected_when_its_runtime_ended_is_connected_by_the_next() {
    let maker = Maker::with_delay(Duration::from_millis(20));
    let balance = Balance::round_robin(Pool::connected(maker, [Backend::new("a", "a")]));
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap()
    };
    let first = runtime();
    first.block_on(async {
        let cut = tokio::time::timeout(Duration::from_millis(1), balance.clone().oneshot(()));
        assert!(cut.await.is_err());
    });
    drop(first);
    let second = runtime();
    let answer = second.block_on(async {
        let mut answer = balance.clone().oneshot(()).await;
        for _ in 0..100 {
            let Err(error) = &answer else { break };
            tokio::time::sleep(error.retry_after().unwrap_or_default()).await;
            answer = balance.clone().oneshot(()).await;
        }
        answer
    });
    answer.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_longest_back_off_does_not_overflow() {
    let maker = Maker::default();
    maker.down.store(true, Ordering::Relaxed);
    let backoff = Backoff::new(Duration::MAX, Duration::MAX).unwrap();
    let connect = Connect::new(maker).backoff(backoff);
    let balance = Balance::round_robin([Backend::new("a", connect.to("a"))]);
    assert!(
        balance
            .oneshot(())
            .await
            .unwrap_err()
            .retry_after()
            .is_some()
    );
}

#[tokio::test(start_paused = true)]
async fn an_idle_service_is_dropped_and_made_again_when_it_is_needed() {
    let maker = Maker::default();
    let pool = Pool::connected(maker.clone(), ["a", "b"].map(|id| Backend::new(id, id)));
    let _dropping = IdleTimeout::new(Duration::from_secs(60))
        .unwrap()
        .spawn(&pool);
    let balance = Balance::round_robin(pool.clone());
    let is_made = |id| pool.value(id).unwrap().is_made();
    for _ in 0..2 {
        balance.clone().oneshot(()).await.unwrap();
    }
    let made = maker.made();
    pool.drain("b");
    for _ in 0..20 {
        balance.clone().oneshot(()).await.unwrap();
        tokio::time::sleep(Duration::from_secs(20)).await;
    }
    assert!(is_made("a"));
    assert!(!is_made("b"));
    assert_eq!(maker.made(), made);
    pool.undrain("b");
    for _ in 0..2 {
        balance.clone().oneshot(()).await.unwrap();
    }
    assert!(is_made("b"));
    assert_eq!(maker.made(), made + 1);
    tokio::time::sleep(Duration::from_secs(121)).await;
    assert!(!is_made("a") && !is_made("b"));
}

#[tokio::test(start_paused = true)]
async fn a_service_with_a_request_in_flight_is_in_use_however_long_that_takes() {
    let make = service_fn(|(): ()| async {
        Ok::<_, io::Error>(service_fn(|minutes: u64| async move {
            tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
            Ok::<_, io::Error>(())
        }))
    });
    let pool = Pool::connected(make, [Backend::new("a", ())]);
    let _dropping = IdleTimeout::new(Duration::from_secs(60))
        .unwrap()
        .spawn(&pool);
    let balance = Balance::round_robin(pool.clone());
    let request = tokio::spawn(balance.oneshot(10));
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(pool.value("a").unwrap().is_made());
    }
    request.await.unwrap().unwrap();
    // Not idle for a whole minute yet, though nobody has called it for ten.
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert!(pool.value("a").unwrap().is_made());
    tokio::time::sleep(Duration::from_secs(62)).await;
    assert!(!pool.value("a").unwrap().is_made());
}

#[tokio::test(start_paused = true)]
async fn dropping_idle_services_ends_with_the_pool() {
    let pool = Pool::connected(Maker::default(), [Backend::new("a", "a")]);
    let dropping = IdleTimeout::new(Duration::from_secs(60))
        .unwrap()
        .spawn(&pool);
    drop(pool);
    dropping.await;
    let error = IdleTimeout::new(Duration::ZERO).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid idle time-out 0ns: expected more than none"
    );
}
