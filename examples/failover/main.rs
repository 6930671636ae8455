//! Backends fail, hang, die and come back while traffic runs; what the pool makes of it is printed
//! as it happens. Nothing is sent again, so that it shows; `high_availability` has the retries.
//!
//! Three small HTTP servers and a backup, in this process and on the loopback interface, get 200
//! requests a second. It takes about 20 seconds, and ends with an error if anything that is said
//! here does not come true.
//!
//! ```text
//! cargo run --example failover
//! ```

mod script;
mod server;
mod timeline;
mod traffic;

use std::error::Error;
use std::time::Duration;

use evenkeel::health::{Ejection, Health, HttpProbe, ProbeSettings, Watching};
use evenkeel::http::{Address, BalanceLayer};
use evenkeel::set::{Rules, SlowStart};
use evenkeel::{Backend, InvalidSetting, Pool};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower::ServiceBuilder;

use self::script::Script;
use self::server::{HEALTH, Server};
use self::timeline::Timeline;
use self::traffic::{Balanced, HttpClient, Traffic};

type BoxError = Box<dyn Error + Send + Sync>;

const NAMES: [&str; 4] = ["a", "b", "c", "backup"];

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let pool = Pool::new();
    let mut servers = Vec::new();
    for name in NAMES {
        let server = Server::start().await?;
        // The second tier is used for what the first cannot take.
        let tier = u32::from(name == "backup");
        pool.insert(Backend::new(name, Address::from(server.address())).priority(tier));
        servers.push(server);
    }
    // For those who come back. Those who are here already have warmed up.
    let slow_start = SlowStart::new(Duration::from_secs(2))?;
    pool.set_rules(Rules::new().slow_start(slow_start));
    let _watching = watch(&pool)?;

    let timeline = Timeline::begin();
    let traffic = Traffic::begin(client(&pool));
    tokio::spawn(timeline.follow(pool.clone(), traffic.counts()));
    let script = Script::new(pool.clone(), servers, timeline);
    script.run(&traffic).await?;
    traffic.end().await?;

    println!("\n{}", pool.status());
    for backend in pool.list() {
        let counts = backend.counts();
        println!(
            "  {backend}: {} answered, {} failed",
            counts.successes(),
            counts.failures()
        );
    }
    let idle = pool.list().iter().all(|backend| backend.in_flight() == 0);
    promise(idle, "every request was counted back")
}

/// What each request goes through.
fn client(pool: &Pool<Address>) -> Balanced {
    let client = Client::builder(TokioExecutor::new()).build_http();
    ServiceBuilder::new()
        .layer(BalanceLayer::least_requests(pool.clone()))
        // Inside of the balance, where it is the backend that let time run out. Around the balance
        // it would be the caller who gave up, and nobody would be blamed.
        .timeout(Duration::from_millis(400))
        .service(client)
}

/// Who is ill, and who is well again. All times are far shorter than anybody would want in earnest.
fn watch(pool: &Pool<Address>) -> Result<Watching, InvalidSetting> {
    // What the traffic shows takes a backend out within milliseconds, but needs requests to fail.
    let ejection = Ejection::new()
        .failures_in_a_row(5)?
        .base_time(Duration::from_millis(700))?
        .interval(Duration::from_secs(2))?
        // One in ten by default. In a pool of four that leaves room for one.
        .max_ejected(0.5)?;

    // Probes find out without any request, and also that a backend is well again. They ask over new
    // connections: an open one does not show that the port still is.
    let client: HttpClient = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build_http();
    let probe = HttpProbe::new(client).path(HEALTH)?;
    let settings = ProbeSettings::new()
        .interval(Duration::from_millis(500))?
        .timeout(Duration::from_millis(250))?;
    Ok(Health::new()
        .ejection(ejection)
        .probe(probe, settings)
        .spawn(pool))
}

/// An error unless it is so.
fn promise(kept: bool, what: &str) -> Result<(), BoxError> {
    if kept {
        Ok(())
    } else {
        Err(format!("it did not come true that {what}").into())
    }
}
