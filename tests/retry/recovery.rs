//! All backends fail for ten seconds, behind the recommended stack.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::Pool;
use evenkeel::http::{BalanceLayer, ReplayBody, recommended};
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tower::{Layer, ServiceExt, service_fn};

type Body = Empty<bytes::Bytes>;

const BETWEEN_REQUESTS: Duration = Duration::from_millis(5);
const FAIL_FROM: u64 = 12;
const FAIL_TO: u64 = 22;
/// As long as a backend is ejected the first time.
const TRIAL_INTERVAL: u64 = 5;
const END: u64 = 32;
const A_SECOND: usize = 200;

/// By the second in which they were sent.
#[derive(Default)]
struct Seconds {
    attempts: Vec<AtomicUsize>,
    answered: Vec<AtomicUsize>,
}

impl Seconds {
    fn sum(of: &[AtomicUsize], from: u64, to: u64) -> usize {
        let of = of[from as usize..to as usize].iter();
        of.map(|second| second.load(Ordering::Relaxed)).sum()
    }
}

fn counts() -> Vec<AtomicUsize> {
    (0..END).map(|_| AtomicUsize::new(0)).collect()
}

/// What each failing backend does.
#[derive(Clone, Copy, Debug)]
enum Failing {
    Refuses,
    Says503,
    Resets,
    /// It says so after a while.
    SlowlySays503,
}

async fn run(backends: usize, failing: Failing) -> Arc<Seconds> {
    let began = Instant::now();
    let seconds = Arc::new(Seconds {
        attempts: counts(),
        answered: counts(),
    });
    let count = Arc::clone(&seconds);
    let client = service_fn(move |_request: Request<ReplayBody<Body>>| {
        let now = began.elapsed().as_secs();
        if let Some(second) = count.attempts.get(now as usize) {
            second.fetch_add(1, Ordering::Relaxed);
        }
        let fails = (FAIL_FROM..FAIL_TO).contains(&now);
        async move {
            let says = |status| {
                let mut response = Response::new(String::new());
                *response.status_mut() = status;
                response
            };
            match failing {
                _ if !fails => {
                    sleep(Duration::from_millis(10)).await;
                    Ok(says(StatusCode::OK))
                }
                Failing::Refuses => Err(std::io::ErrorKind::ConnectionRefused.into()),
                Failing::Resets => Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
                Failing::Says503 => Ok(says(StatusCode::SERVICE_UNAVAILABLE)),
                Failing::SlowlySays503 => {
                    sleep(Duration::from_millis(300)).await;
                    Ok(says(StatusCode::SERVICE_UNAVAILABLE))
                }
            }
        }
    });
    let addresses = (0..backends).map(|at| format!("10.0.0.{at}:80"));
    let pool = Pool::of_addresses(addresses).unwrap();
    let service = recommended(BalanceLayer::least_requests(pool).layer(client));
    let mut asking = JoinSet::new();
    for number in 0_u32.. {
        sleep_until(began + BETWEEN_REQUESTS * number).await;
        let sent = began.elapsed().as_secs();
        if sent >= END {
            break;
        }
        let (service, seconds) = (service.clone(), Arc::clone(&seconds));
        asking.spawn(async move {
            let request = Request::get("http://shop.example/")
                .body(Body::new())
                .unwrap();
            let response = service.oneshot(request).await;
            if response.is_ok_and(|response| response.status() == StatusCode::OK) {
                seconds.answered[sent as usize].fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    asking.join_all().await;
    seconds
}

async fn is_survived(failing: Failing) {
    for backends in [2, 3, 4, 5, 10, 50] {
        let seconds = run(backends, failing).await;
        let what = format!("{backends} backends, {failing:?}");
        // The share of these requests and of those of the ten seconds before, and the floor.
        let requests = A_SECOND * (FAIL_TO - FAIL_FROM) as usize;
        let most = requests + (2 * requests).div_ceil(5) + 10 * 20;
        let attempts = Seconds::sum(&seconds.attempts, FAIL_FROM, FAIL_TO);
        assert!(attempts <= most, "{what}: {attempts} attempts of {most}");
        assert!(
            attempts > requests * 11 / 10,
            "{what}: it retried {attempts}"
        );

        let before = Seconds::sum(&seconds.answered, 0, FAIL_FROM);
        assert_eq!(before, A_SECOND * FAIL_FROM as usize, "{what}");
        let soon = Seconds::sum(&seconds.answered, FAIL_TO + 2, FAIL_TO + 3);
        assert!(soon * 100 >= A_SECOND * 95, "{what}: {soon} after 2 s");
        let later = FAIL_TO + TRIAL_INTERVAL;
        let all = Seconds::sum(&seconds.answered, later, END);
        assert_eq!(all, A_SECOND * (END - later) as usize, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_refuse() {
    is_survived(Failing::Refuses).await;
}

#[tokio::test(start_paused = true)]
async fn all_reset() {
    is_survived(Failing::Resets).await;
}

#[tokio::test(start_paused = true)]
async fn all_say_503() {
    is_survived(Failing::Says503).await;
}

#[tokio::test(start_paused = true)]
async fn all_say_503_slowly() {
    is_survived(Failing::SlowlySays503).await;
}
