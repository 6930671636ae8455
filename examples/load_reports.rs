//! Three backends that differ in size report their load, and the traffic follows what they say.
//!
//! All of it is in this one process: three HTTP servers on the loopback interface, whose requests
//! cost a share of a processor that is pretended, and a client that believes what they report. After
//! four seconds, the largest one loses three quarters of its power.
//!
//! ```text
//! cargo run --example load_reports --features load-reports
//! ```

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use evenkeel::http::load_reports::{self, ReportLoadLayer};
use evenkeel::http::{Address, BalanceLayer};
use evenkeel::load::LoadMeter;
use evenkeel::picker::ReportedWeightedRoundRobin;
use evenkeel::{Backend, Pool};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};

type BoxError = Box<dyn Error + Send + Sync>;

/// How many requests a second make a backend of size 1 busy.
const CAPACITY: f64 = 200.0;

/// A round of the traffic, and what is sent in it.
const ROUND: Duration = Duration::from_secs(1);
const REQUESTS: u32 = 300;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let pool = Pool::new();
    let mut servers = Vec::new();
    for (name, size) in [("small", 1.0), ("medium", 2.0), ("large", 4.0)] {
        let server = Server::start(size).await?;
        pool.insert(Backend::new(name, server.address.clone()));
        servers.push((name, server));
    }

    // gRPC waits for 10 s before it uses a new weight, which is too long for an example.
    let picker = ReportedWeightedRoundRobin::new()
        .blackout_period(Duration::from_millis(500))
        .weight_update_period(Duration::from_millis(100))?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let client = BalanceLayer::new(pool, picker)
        .believe_load_reports(load_reports::take)
        .layer(client);

    println!("{:>7}  shares, and what each says of its utilization", "");
    for round in 1..=14 {
        if round == 5 {
            println!("large has a quarter of its power from now on:");
            servers[2].1.set_size(1.0);
        }
        let before: Vec<u64> = servers.iter().map(|(_, server)| server.served()).collect();
        let mut ticks = tokio::time::interval(ROUND / REQUESTS);
        for _ in 0..REQUESTS {
            ticks.tick().await;
            let request = hyper::Request::get("http://shop.example/").body(Empty::new())?;
            let response = client.clone().oneshot(request).await?;
            response.into_body().collect().await?;
        }
        print!("{round:>4} s:");
        for ((name, server), before) in servers.iter().zip(before) {
            let share = (server.served() - before) as f64 / f64::from(REQUESTS);
            let utilization = server.meter.report().application_utilization();
            print!("  {name} {:>2.0} %", share * 100.0);
            print!(" ({:.2})", utilization.unwrap_or_default());
        }
        println!();
    }
    Ok(())
}

/// A backend, and what it is busy with.
struct Server {
    address: Address,
    meter: LoadMeter,
    served: Arc<AtomicU64>,
    /// An `f64`.
    size: Arc<AtomicU64>,
}

impl Server {
    async fn start(size: f64) -> Result<Self, BoxError> {
        let meter = LoadMeter::new();
        let served = Arc::<AtomicU64>::default();
        let size = Arc::new(AtomicU64::new(size.to_bits()));
        let app = {
            let (meter, served, size) = (meter.clone(), Arc::clone(&served), Arc::clone(&size));
            let busy = Arc::new(Busy::new());
            get(async move || {
                served.fetch_add(1, Ordering::Relaxed);
                // A real one would ask the operating system, or count its own work.
                let size = f64::from_bits(size.load(Ordering::Relaxed));
                meter.set_utilization(busy.add(1.0 / (CAPACITY * size)));
                "done"
            })
        };
        let app = Router::new()
            .route("/", app)
            .layer(ReportLoadLayer::new(meter.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?.into();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self {
            address,
            meter,
            served,
            size,
        })
    }

    fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }

    fn set_size(&self, size: f64) {
        self.size.store(size.to_bits(), Ordering::Relaxed);
    }
}

/// How busy a server is: its work over the last seconds, the latest of which counts most. A memory
/// of 5 s is about as long as that of the meter's rates, so that both are of the same time.
struct Busy(Mutex<(f64, Instant)>);

impl Busy {
    const MEMORY: f64 = 5.0;

    fn new() -> Self {
        Self(Mutex::new((0.0, Instant::now())))
    }

    /// Adds some seconds of work, and returns which share of the time is worked.
    fn add(&self, work: f64) -> f64 {
        let mut busy = self.0.lock().expect("nobody panics with it");
        let (worked, last) = *busy;
        let now = Instant::now();
        let left = (-(now - last).as_secs_f64() / Self::MEMORY).exp();
        *busy = (worked * left + work, now);
        busy.0 / Self::MEMORY
    }
}
