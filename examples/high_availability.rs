//! What callers see while one of three backends fails, hangs, or is slow: with a balance alone, with
//! the recommended stack around it, and with a stack of one's own that hedges as well.
//!
//! Backends and callers are in this process, and time is simulated, by tokio's paused clock. So each
//! ten seconds pass in a moment, and latencies are those of the backends and not of this machine: to
//! measure what evenkeel itself costs, there is `cargo bench --bench requests`. It ends with an error
//! if a stack lets a single request fail.
//!
//! ```text
//! cargo run --release --example high_availability
//! ```

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::health::{Ejection, Health, Watching};
use evenkeel::http::{ByMethod, OnBodyEnd, ReplayBody, ReplayLayer, recommended};
use evenkeel::limit::LimitLayer;
use evenkeel::retry::{Hedge, RetryLayer};
use evenkeel::{Backend, Balance, InvalidSetting, balance::Direct};
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, Response, StatusCode};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, timeout};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const REQUESTS: usize = 2000;
/// 200 a second.
const APART: Duration = Duration::from_millis(5);
/// How long a caller waits.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a backend has for a response: more than a slow one takes, and so little that there is
/// time for another one.
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(400);

/// Callers who wait for longer than that are counted.
const LONG: Duration = Duration::from_millis(100);

#[derive(Clone, Copy)]
enum Behaviour {
    Answers,
    Fails,
    Hangs,
    IsSlow,
}

#[derive(Clone, Copy)]
enum Stack {
    Balance,
    Recommended,
    ByHand,
}

type RequestBody = ReplayBody<Empty<Bytes>>;
type Server = BoxCloneSyncService<Request<RequestBody>, Response<Empty<Bytes>>, Infallible>;
type Balanced = Balance<Server, Request<RequestBody>, Direct, OnBodyEnd>;
/// Whatever is inside of it, a request leads to a status or an error.
type Client = BoxCloneSyncService<Request<Empty<Bytes>>, StatusCode, BoxError>;

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> Result<(), BoxError> {
    println!(
        "Two backends answer in 10 ms, and there is a third. {REQUESTS} requests come within {} s,\n\
         from callers that wait for {} s at most. Time is simulated. Attempts are requests that reached\n\
         a backend. All callers count for p50, p99 and > 100 ms, whether they got an answer or not:\n\
         it is how long they waited, and how many waited that long.\n",
        (APART * REQUESTS as u32).as_secs(),
        PATIENCE.as_secs()
    );
    println!("the third     around them            failed     p50     p99  > 100 ms  attempts");
    for third in [
        Behaviour::Answers,
        Behaviour::Fails,
        Behaviour::Hangs,
        Behaviour::IsSlow,
    ] {
        let mut name = third.name();
        for stack in [Stack::Balance, Stack::Recommended, Stack::ByHand] {
            let failed = run(name, third, stack).await?;
            if failed > 0 && !matches!(stack, Stack::Balance) {
                return Err(format!("{failed} requests failed").into());
            }
            name = "";
        }
    }
    println!(
        "\n\
What one sees: with the recommended stack no caller sees a failure, since each is tried again on
another backend, until the one that fails is ejected. Where it hangs, a few wait for the {} ms of
an attempt first. Hedges spare them that, as soon as they know what is usual: fewer callers wait
for long. The price is in p99 and in the attempts: a hedge that wins cancels the other attempt, so
who hangs has little in flight, is not found to have timed out, and gets more requests, all of
which wait for the hedge, until the rule on latency ejects it.",
        ATTEMPT_TIMEOUT.as_millis()
    );
    Ok(())
}

/// Sends the load through a stack, prints a line, and returns how many requests failed.
async fn run(name: &str, third: Behaviour, stack: Stack) -> Result<usize, BoxError> {
    let attempts = Arc::<AtomicUsize>::default();
    let balance = balance(third, &attempts);
    // The recommended stack watches the pool by itself. A watch ends when it is dropped.
    let (client, _watching) = match stack {
        Stack::Balance => (client(ReplayLayer::new().layer(balance)), None),
        Stack::Recommended => {
            let balance = balance.attempt_timeout(ATTEMPT_TIMEOUT);
            (client(recommended(balance)), None)
        }
        Stack::ByHand => {
            let (client, watching) = by_hand(balance)?;
            (client, Some(watching))
        }
    };

    let mut running = JoinSet::new();
    let mut clock = interval(APART);
    for _ in 0..REQUESTS {
        clock.tick().await;
        running.spawn(ask(client.clone()));
    }
    let mut ended = running.join_all().await;

    ended.sort_unstable_by_key(|&(took, _)| took);
    let failed = ended.iter().filter(|&&(_, good)| !good).count();
    let long = ended.iter().filter(|&&(took, _)| took > LONG).count();
    let percentile = |percent: usize| ended[REQUESTS * percent / 100 - 1].0.as_millis();
    println!(
        "{name:13} {stack:22} {failed:>6} {:>4} ms {:>4} ms {long:>9} {:>9}",
        percentile(50),
        percentile(99),
        attempts.load(Ordering::Relaxed),
        stack = stack.name(),
    );
    Ok(failed)
}

/// Returns how long a caller waited, and whether all was well.
async fn ask(client: Client) -> (Duration, bool) {
    let begun = Instant::now();
    let answer = timeout(PATIENCE, client.oneshot(Request::default())).await;
    let good = matches!(answer, Ok(Ok(status)) if status.is_success());
    (begun.elapsed(), good)
}

/// A balance over three backends, which count what they are asked.
fn balance(third: Behaviour, attempts: &Arc<AtomicUsize>) -> Balanced {
    let server = |behaviour| {
        let attempts = Arc::clone(attempts);
        Server::new(service_fn(move |_request| {
            attempts.fetch_add(1, Ordering::Relaxed);
            answer(behaviour)
        }))
    };
    Balance::least_requests([
        Backend::new("a", server(Behaviour::Answers)),
        Backend::new("b", server(Behaviour::Answers)),
        Backend::new("c", server(third)),
    ])
    .count_to_body_end()
    .seed(1)
}

async fn answer(behaviour: Behaviour) -> Result<Response<Empty<Bytes>>, Infallible> {
    let mut response = Response::default();
    match behaviour {
        Behaviour::Answers => sleep(Duration::from_millis(10)).await,
        Behaviour::Fails => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
        Behaviour::Hangs => pending().await,
        Behaviour::IsSlow => sleep(Duration::from_millis(200)).await,
    }
    Ok(response)
}

/// What [`recommended`] puts together, and a hedge: whoever takes longer than nineteen of twenty do
/// is not waited for alone.
fn by_hand(balance: Balanced) -> Result<(Client, Watching), InvalidSetting> {
    let ejection = Ejection::new()
        .max_ejected(0.5)?
        .base_time(Duration::from_secs(5))?
        // A hedge wins before time is over for the other attempt, and nobody is blamed. So those
        // that are always late are found by how long they are waited for.
        .latency(2.0, Duration::from_millis(20))?
        .minimum_backends(3)?
        .interval(Duration::from_secs(4))?;
    let watching = Health::new().ejection(ejection).spawn(balance.pool());
    let retry = RetryLayer::new(ByMethod::new())
        .total_time(PATIENCE)
        .hedge(Hedge::percentile(0.95)?);
    let stack = ServiceBuilder::new()
        .layer(ReplayLayer::new())
        .layer(LimitLayer::new(1024)?.count_to_body_end())
        .layer(retry)
        .service(balance.attempt_timeout(ATTEMPT_TIMEOUT));
    Ok((client(stack), watching))
}

fn client<S, B>(service: S) -> Client
where
    S: Service<Request<Empty<Bytes>>, Response = Response<B>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + Sync + 'static,
    B: 'static,
{
    // An empty body has ended by itself.
    Client::new(
        service
            .map_response(|response| response.status())
            .map_err(Into::into),
    )
}

impl Behaviour {
    fn name(self) -> &'static str {
        match self {
            Self::Answers => "is well",
            Self::Fails => "fails at once",
            Self::Hangs => "hangs",
            Self::IsSlow => "takes 200 ms",
        }
    }
}

impl Stack {
    fn name(self) -> &'static str {
        match self {
            Self::Balance => "a balance",
            Self::Recommended => "the recommended stack",
            Self::ByHand => "… with hedges",
        }
    }
}
