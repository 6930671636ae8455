//! Backends fail, hang, die and come back while traffic runs; what the pool makes of it is printed
//! as it happens.
//!
//! Three small HTTP servers and a backup, in this process and on the loopback interface, get 200
//! requests a second. It takes about 20 seconds, and ends with an error if anything that is said
//! here does not come true.
//!
//! ```text
//! cargo run --example failover
//! ```

mod server;
mod timeline;
mod traffic;

use std::error::Error;
use std::time::Duration;

use evenkeel::backend::State;
use evenkeel::health::{Ejection, Health, HttpProbe, ProbeSettings, Watching};
use evenkeel::http::{Address, BalanceLayer};
use evenkeel::set::{Events, Rules, SlowStart, TierStatus};
use evenkeel::{Backend, InvalidSetting, Pool};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::{sleep, timeout};
use tower::ServiceBuilder;

use self::server::{Condition, HEALTH, Server};
use self::timeline::Timeline;
use self::traffic::{Balanced, HttpClient, Traffic, lock};

type BoxError = Box<dyn Error + Send + Sync>;

const NAMES: [&str; 4] = ["a", "b", "c", "backup"];

/// Far longer than any step takes.
const PATIENCE: Duration = Duration::from_secs(15);

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
    Script {
        events: pool.events(),
        pool: pool.clone(),
        servers,
        timeline,
    }
    .run(&traffic)
    .await?;
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

/// Everything here is several times faster than anybody would want it in earnest.
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

/// What happens to the backends, and what has to follow.
struct Script {
    pool: Pool<Address>,
    servers: Vec<Server>,
    events: Events,
    timeline: Timeline,
}

impl Script {
    async fn run(mut self, traffic: &Traffic) -> Result<(), BoxError> {
        self.act("a, b and c share the work, and the backup rests");
        sleep(Duration::from_millis(1200)).await;
        self.one_fails().await?;
        self.all_go_down().await?;
        self.health_checks_break(traffic).await?;
        self.an_operator_decides().await?;
        Ok(())
    }

    async fn one_fails(&mut self) -> Result<(), BoxError> {
        self.act("b answers 500, while its health check says that all is well");
        self.server("b").set(Condition::Fails);
        self.until("b", State::Ejected).await?;
        // Long enough for the first trial, which fails and makes the next ejection longer.
        sleep(Duration::from_secs(1)).await;

        self.act("b works again: its next trial succeeds, and it starts slowly");
        self.server("b").set(Condition::Well);
        self.until("b", State::Healthy).await?;
        sleep(Duration::from_millis(2200)).await;
        Ok(())
    }

    async fn all_go_down(&mut self) -> Result<(), BoxError> {
        self.act("a is killed: connections are refused");
        self.server("a").kill().await;
        self.until("a", State::Unhealthy).await?;
        sleep(Duration::from_secs(1)).await;

        self.act("c hangs: requests time out");
        self.server("c").set(Condition::Hangs);
        self.until("c", State::Unhealthy).await?;

        // Not by its traffic this time: half of the backends are out, and no more may be ejected.
        self.act("b is killed, too: probes find out, and all the work goes to the backup");
        self.server("b").kill().await;
        self.until("b", State::Unhealthy).await?;
        promise(self.share_of_backup() > 0.99, "the backup has taken over")?;
        sleep(Duration::from_secs(1)).await;

        self.act("all three come back");
        self.server("a").restart().await?;
        self.server("b").restart().await?;
        self.server("c").set(Condition::Well);
        for name in ["a", "b", "c"] {
            self.until(name, State::Healthy).await?;
        }
        promise(self.share_of_backup() < 0.01, "the backup rests again")?;
        sleep(Duration::from_millis(1500)).await;
        Ok(())
    }

    async fn health_checks_break(&mut self, traffic: &Traffic) -> Result<(), BoxError> {
        self.act("every health check breaks, and nothing else: so many cannot be wrong");
        for server in &self.servers {
            server.set(Condition::LooksIll);
        }
        for name in NAMES {
            self.until(name, State::Unhealthy).await?;
        }
        promise(self.pool.status().is_in_panic(), "health is ignored")?;
        let before = lock(&traffic.counts()).clone();
        sleep(Duration::from_secs(1)).await;
        let meanwhile = lock(&traffic.counts()).since(&before);
        // Not each one: a busy machine may let time run out.
        let served = meanwhile.failed() * 20 <= meanwhile.sent();
        promise(served, "requests are answered all the same")?;

        self.act("the health checks are repaired");
        for server in &self.servers {
            server.set(Condition::Well);
        }
        for name in NAMES {
            self.until(name, State::Healthy).await?;
        }
        sleep(Duration::from_secs(1)).await;
        Ok(())
    }

    async fn an_operator_decides(&mut self) -> Result<(), BoxError> {
        self.act("an operator drains c, to switch it off when its last request has ended");
        let drained = self.pool.drained("c").ok_or("c is no member")?;
        timeout(PATIENCE, drained).await?;
        self.timeline.note("c has nothing left to do");
        sleep(Duration::from_millis(800)).await;
        self.pool.undrain("c");

        self.act("b's health check breaks; an operator knows better, and takes a out instead");
        self.server("b").set(Condition::LooksIll);
        self.until("b", State::Unhealthy).await?;
        self.pool.force_up("b");
        self.pool.force_down("a");
        sleep(Duration::from_millis(1200)).await;

        self.act("it is repaired, and health decides again");
        self.server("b").set(Condition::Well);
        self.pool.unforce("a");
        self.pool.unforce("b");
        self.until("a", State::Healthy).await?;
        self.until("b", State::Healthy).await
    }

    fn act(&self, what: &str) {
        self.timeline.act(what);
    }

    fn server(&mut self, name: &str) -> &mut Server {
        let at = NAMES.iter().position(|known| *known == name);
        &mut self.servers[at.expect("one of the four")]
    }

    fn share_of_backup(&self) -> f64 {
        let status = self.pool.status();
        status.tiers().last().map_or(0.0, TierStatus::share)
    }

    async fn until(&mut self, name: &str, state: State) -> Result<(), BoxError> {
        let reached = async {
            while self
                .pool
                .get(name)
                .is_some_and(|info| info.state() != state)
            {
                self.events.next().await;
            }
        };
        let reached = timeout(PATIENCE, reached).await;
        reached.map_err(|_| format!("{name} is not {state} after {PATIENCE:?}").into())
    }
}

fn promise(kept: bool, what: &str) -> Result<(), BoxError> {
    if kept {
        Ok(())
    } else {
        Err(format!("it did not come true that {what}").into())
    }
}
