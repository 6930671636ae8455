//! Load probes, sent by a balance for pickers that ask for them.

use std::future::{Future, pending};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use evenkeel::backend::{Event, Handle, Observation};
use evenkeel::balance::Attempt;
use evenkeel::load::{LoadProbes, LoadReport};
use evenkeel::picker::{self, Needs};
use evenkeel::retry::{Hedge, RetryLayer};
use evenkeel::{Backend, BackendSet, Balance, Picker, Pool};
use tokio::time::{Instant, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::millis;

type BoxFuture<O> = std::pin::Pin<Box<dyn Future<Output = O> + Send>>;

/// Picks the first, has the first probed, and notes what it is told.
#[derive(Clone, Default)]
struct Asks {
    told: Arc<Mutex<Vec<(Handle, Event, Instant)>>>,
}

impl Picker<()> for Asks {
    fn pick(&self, set: &dyn BackendSet, (): &(), cx: &mut picker::Context) -> Option<usize> {
        cx.probe(set.handle(0));
        Some(0)
    }

    fn observe(&self, backend: Handle, observation: &Observation) {
        let told = (backend, observation.event(), observation.at().into());
        self.told.lock().unwrap().push(told);
    }

    /// Nobody has to observe requests for it to be told of probes.
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }
}

impl Asks {
    /// Which events, of whom, how long after this moment.
    fn told(&self, since: Instant) -> Vec<(Handle, Event, Duration)> {
        let told = self.told.lock().unwrap();
        let told = told.iter();
        told.map(|&(handle, event, at)| (handle, event, at - since))
            .collect()
    }

    fn count(&self) -> usize {
        self.told.lock().unwrap().len()
    }
}

/// A backend: what it does with requests, and with probes.
#[derive(Clone)]
struct Server {
    number: u32,
    does: Does,
}

#[derive(Clone, Copy, PartialEq)]
enum Does {
    Answer,
    Fail,
    Hang,
}

impl Service<()> for Server {
    type Response = u32;
    type Error = std::io::Error;
    type Future = BoxFuture<Result<u32, std::io::Error>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let Self { number, does } = *self;
        Box::pin(async move {
            match does {
                Does::Answer => Ok(number),
                Does::Fail => Err(std::io::ErrorKind::ConnectionReset.into()),
                Does::Hang => pending().await,
            }
        })
    }
}

fn pool(does: [Does; 2]) -> Pool<Server> {
    let backends = [("a", 1), ("b", 2)].into_iter().zip(does);
    let servers = backends.map(|((id, number), does)| Backend::new(id, Server { number, does }));
    servers.collect()
}

fn handle(pool: &Pool<Server>, id: &str) -> Handle {
    pool.get(id).expect("a member").handle()
}

fn load(in_flight: u32) -> LoadReport {
    LoadReport::new().with_in_flight(in_flight)
}

/// How many probes were begun, and how many have not ended yet, however they end.
#[derive(Clone, Default)]
struct Counts {
    begun: Arc<AtomicUsize>,
    running: Arc<AtomicUsize>,
}

struct Running(Arc<AtomicUsize>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counts {
    fn begin(&self) -> Running {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        Running(Arc::clone(&self.running))
    }

    fn get(&self) -> (usize, usize) {
        let [begun, running] = [&self.begun, &self.running];
        (
            begun.load(Ordering::Relaxed),
            running.load(Ordering::Relaxed),
        )
    }
}

/// Answers after 30 ms with a hundred times the backend's number.
fn answering(
    counts: &Counts,
) -> impl Service<Server, Response = LoadReport, Error = std::io::Error, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let counts = counts.clone();
    service_fn(move |server: Server| {
        let running = counts.begin();
        async move {
            sleep(millis(30)).await;
            drop(running);
            Ok::<_, std::io::Error>(load(server.number * 100))
        }
    })
}

/// Never answers.
fn hanging(
    counts: &Counts,
) -> impl Service<Server, Response = LoadReport, Error = std::io::Error, Future: Send>
+ Clone
+ Send
+ Sync
+ 'static {
    let counts = counts.clone();
    service_fn(move |_server: Server| {
        let running = counts.begin();
        async move {
            let _running = running;
            pending::<Result<LoadReport, std::io::Error>>().await
        }
    })
}

async fn request(balance: &Balance<Server, ()>) -> Result<u32, evenkeel::Error> {
    balance.clone().ready().await?.call(()).await
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_told_when_it_comes_and_the_request_does_not_wait_for_it() {
    let (asks, counts) = (Asks::default(), Counts::default());
    let pool = pool([Does::Answer; 2]);
    let balance = Balance::new(pool.clone(), asks.clone());
    let balance = balance.load_probes(LoadProbes::new(answering(&counts)));
    let start = Instant::now();
    assert_eq!(request(&balance).await.unwrap(), 1);
    assert_eq!((start.elapsed(), counts.get()), (Duration::ZERO, (0, 0)));
    sleep(millis(29)).await;
    assert_eq!((asks.count(), counts.get()), (0, (1, 1)));
    sleep(millis(2)).await;
    let probed = Event::Probed(load(100));
    assert_eq!(asks.told(start), [(handle(&pool, "a"), probed, millis(30))]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_that_is_not_asked_for_or_that_nobody_sends() {
    let (asks, counts) = (Asks::default(), Counts::default());
    let balance = Balance::new(pool([Does::Answer; 2]), asks.clone());
    request(&balance).await.unwrap();
    let never_asks = Balance::least_requests(pool([Does::Answer; 2]));
    let never_asks = never_asks.load_probes(LoadProbes::new(answering(&counts)));
    request(&never_asks).await.unwrap();
    sleep(millis(100)).await;
    assert_eq!((asks.count(), counts.get()), (0, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_probe_ends_with_its_timeout_and_makes_room_for_another() {
    let (asks, counts) = (Asks::default(), Counts::default());
    let probes = LoadProbes::new(hanging(&counts)).max_under_way(2).unwrap();
    let balance = Balance::new(pool([Does::Answer; 2]), asks.clone()).load_probes(probes);
    for _ in 0..5 {
        request(&balance).await.unwrap();
    }
    sleep(millis(999)).await;
    request(&balance).await.unwrap();
    sleep(Duration::ZERO).await;
    assert_eq!(counts.get(), (2, 2));
    sleep(millis(2)).await;
    assert_eq!(counts.get(), (2, 0));
    request(&balance).await.unwrap();
    sleep(millis(1)).await;
    assert_eq!((asks.count(), counts.get()), (0, (3, 1)));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_never_ready_is_bounded_as_well() {
    #[derive(Clone)]
    struct NeverReady;

    impl Service<Server> for NeverReady {
        type Response = LoadReport;
        type Error = std::io::Error;
        type Future = std::future::Ready<Result<LoadReport, std::io::Error>>;

        fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
            Poll::Pending
        }

        fn call(&mut self, _server: Server) -> Self::Future {
            unreachable!("it is not ready")
        }
    }

    let asks = Asks::default();
    let probes = LoadProbes::new(NeverReady).timeout(millis(50)).unwrap();
    let balance = Balance::new(pool([Does::Answer; 2]), asks.clone()).load_probes(probes);
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    request(&balance).await.unwrap();
    assert_eq!(tasks(), 1);
    sleep(millis(51)).await;
    assert_eq!((tasks(), asks.count()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn probes_keep_no_balance_alive_and_tell_nobody_once_it_is_gone() {
    let (asks, counts) = (Asks::default(), Counts::default());
    let balance = Balance::new(pool([Does::Answer; 2]), asks.clone());
    let balance = balance.load_probes(LoadProbes::new(answering(&counts)));
    request(&balance).await.unwrap();
    sleep(millis(1)).await;
    assert_eq!(counts.get(), (1, 1));
    assert!(Arc::strong_count(&asks.told) > 1);
    drop(balance);
    assert_eq!(Arc::strong_count(&asks.told), 1);
    sleep(millis(100)).await;
    assert_eq!((asks.count(), counts.get()), (0, (1, 0)));
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_member_that_has_left_is_dropped() {
    let (asks, counts) = (Asks::default(), Counts::default());
    let pool = pool([Does::Answer; 2]);
    let balance = Balance::new(pool.clone(), asks.clone());
    let balance = balance.load_probes(LoadProbes::new(answering(&counts)));
    request(&balance).await.unwrap();
    sleep(millis(1)).await;
    pool.remove("a");
    // In its slot.
    pool.insert(Backend::new(
        "a",
        Server {
            number: 3,
            does: Does::Answer,
        },
    ));
    sleep(millis(100)).await;
    assert_eq!((asks.count(), counts.get()), (0, (1, 0)));
    // Who has left before is not asked at all.
    request(&balance).await.unwrap();
    pool.remove("a");
    pool.remove("b");
    sleep(millis(100)).await;
    assert_eq!((asks.count(), counts.get()), (0, (1, 0)));
}

#[tokio::test(start_paused = true)]
async fn the_answer_of_a_member_that_takes_no_requests_is_told() {
    let (asks, counts) = (Asks::default(), Counts::default());
    let pool = pool([Does::Answer; 2]);
    let balance = Balance::new(pool.clone(), asks.clone());
    let balance = balance.load_probes(LoadProbes::new(answering(&counts)));
    request(&balance).await.unwrap();
    pool.drain("a");
    sleep(millis(100)).await;
    assert_eq!(asks.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_panics_or_fails_harms_nobody() {
    let asks = Asks::default();
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let service = service_fn(move |_server: Server| {
        let call = count.fetch_add(1, Ordering::Relaxed);
        assert!(call != 0, "a test's panic, in the call");
        async move {
            assert!(call != 1, "a test's panic, in the future");
            match call {
                2 => Err(std::io::Error::other("no answer")),
                _ => Ok(load(7)),
            }
        }
    });
    // If one of them were counted for ever, there would be no next.
    let probes = LoadProbes::new(service).max_under_way(1).unwrap();
    let balance = Balance::new(pool([Does::Answer; 2]), asks.clone()).load_probes(probes);
    for calls_so_far in 1..=4 {
        assert_eq!(request(&balance).await.unwrap(), 1);
        sleep(millis(1)).await;
        assert_eq!(calls.load(Ordering::Relaxed), calls_so_far);
    }
    assert_eq!(asks.count(), 1);
}

#[test]
fn without_a_runtime_nobody_is_asked() {
    let (asks, counts) = (Asks::default(), Counts::default());
    let mut balance = Balance::new(pool([Does::Answer; 2]), asks.clone())
        .load_probes(LoadProbes::new(answering(&counts)));
    let response = pin!(balance.call(()));
    let polled = response.poll(&mut Context::from_waker(Waker::noop()));
    assert!(matches!(polled, Poll::Ready(Ok(1))));
    assert_eq!((asks.count(), counts.get()), (0, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn probes_that_are_asked_for_while_a_request_waits_are_sent() {
    let (asks, counts) = (Asks::default(), Counts::default());
    let pool = Pool::new();
    let balance = Balance::new(pool.clone(), asks.clone());
    let balance = balance.load_probes(LoadProbes::new(answering(&counts)));
    let waiting = tokio::spawn({
        let balance = balance.clone();
        async move { request(&balance).await }
    });
    sleep(millis(1)).await;
    assert_eq!(counts.get(), (0, 0));
    pool.insert(Backend::new(
        "a",
        Server {
            number: 1,
            does: Does::Answer,
        },
    ));
    assert_eq!(waiting.await.unwrap().unwrap(), 1);
    sleep(millis(50)).await;
    assert_eq!((asks.count(), counts.get()), (1, (1, 0)));
}

#[tokio::test(start_paused = true)]
async fn attempts_that_are_retries_or_hedges_ask_too() {
    for (does, hedge) in [
        (Does::Fail, None),
        (Does::Hang, Some(Hedge::after(millis(10)))),
    ] {
        let (asks, counts) = (Asks::default(), Counts::default());
        let pool = pool([does, Does::Answer]);
        let balance = Balance::new(pool.clone(), asks.clone());
        let balance = balance.load_probes(LoadProbes::new(answering(&counts)));
        let layer = RetryLayer::new(|(): &()| true);
        let layer = match hedge {
            Some(hedge) => layer.hedge(hedge),
            None => layer,
        };
        assert_eq!(layer.layer(balance.clone()).oneshot(()).await.unwrap(), 2);
        sleep(millis(100)).await;
        // The first of all, and then the first of those that are left.
        let told = asks
            .told(Instant::now())
            .into_iter()
            .map(|(handle, ..)| handle);
        let told: Vec<_> = told.collect();
        assert_eq!(told, [handle(&pool, "a"), handle(&pool, "b")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_bound_asks_nobody() {
    let (asks, counts) = (Asks::default(), Counts::default());
    let pool = pool([Does::Answer; 2]);
    let balance = Balance::new(pool.clone(), asks.clone());
    let balance = balance.load_probes(LoadProbes::new(answering(&counts)));
    let bound = Attempt::new(()).only(handle(&pool, "b"));
    assert_eq!(balance.attempts().oneshot(bound).await.unwrap(), 2);
    sleep(millis(100)).await;
    assert_eq!(counts.get(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_picker_that_is_set_later_is_told_of_what_it_asks_for() {
    let (first, second, counts) = (Asks::default(), Asks::default(), Counts::default());
    let balance = Balance::new(pool([Does::Answer; 2]), first.clone());
    let balance = balance.load_probes(LoadProbes::new(answering(&counts)));
    request(&balance).await.unwrap();
    balance.set_picker(second.clone());
    request(&balance).await.unwrap();
    sleep(millis(100)).await;
    // Whoever picks now has both.
    assert_eq!((first.count(), second.count()), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn prequal_goes_by_what_its_probes_say() {
    let counts = Counts::default();
    let pool = pool([Does::Answer; 2]);
    let balance = Balance::prequal(pool.clone()).seed(3);
    let balance = balance.load_probes(LoadProbes::new(answering(&counts)));
    request(&balance).await.unwrap();
    sleep(millis(31)).await;
    // `a` has 100 in flight, `b` 200, and neither says how slow it is.
    for _ in 0..20 {
        assert_eq!(request(&balance).await.unwrap(), 1);
        sleep(millis(31)).await;
    }
    assert_eq!(counts.get(), (42, 0));
}

#[test]
fn settings_that_make_no_sense_are_refused_with_their_value() {
    let new = || LoadProbes::new(());
    let error = new().timeout(Duration::ZERO).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid probe timeout 0ns: expected more than 0"
    );
    let error = new().max_under_way(0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "invalid number of probes under way 0: expected at least 1"
    );
    assert!(new().timeout(Duration::MAX).is_ok());
}
