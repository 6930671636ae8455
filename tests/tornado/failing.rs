//! Servers that die and servers that hang, under load: each is noticed, taken out, and used again.
//!
//! How long each step took is printed: `cargo test --test tornado failing -- --nocapture`. Nothing
//! depends on it.

use std::time::{Duration, Instant};

use evenkeel::backend::{BackendInfo, Failure, State};
use evenkeel::health::{Ejection, Health, HttpProbe, ProbeSettings, Watching};
use evenkeel::http::{Address, BalanceLayer};
use evenkeel::set::{Events, Happened, PoolEvent, Rules};
use evenkeel::{Backend, InvalidSetting, Pool};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;
use tower::ServiceBuilder;

use super::client::{HttpClient, http_client};
use super::load::{Load, NOWHERE, Tally};
use super::server::{NAMES, Server, three};

const CLIENTS: usize = 16;

/// Of each request.
const TIMEOUT: Duration = Duration::from_millis(500);

/// For one step. Far longer than any takes on a machine that is busy with more than these tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// Three servers under load, and what the pool said of them so far.
struct Site {
    servers: [Server; 3],
    pool: Pool<Address>,
    events: Events,
    changes: Vec<(String, State)>,
    load: Load,
    _watching: Watching,
    begin: Instant,
}

impl Site {
    /// `None` where there is no Tornado.
    async fn start(health: Health<Address>) -> Option<Self> {
        let servers = three(0.0).await?;
        let pool: Pool<Address> = servers
            .iter()
            .zip(NAMES)
            .map(|(server, name)| Backend::new(name, server.address.parse().expect("an address")))
            .collect();
        // Two of three will be out.
        let never_panics = Rules::new().panic_threshold(0.0);
        pool.set_rules(never_panics.expect("0 is a share"));

        let events = pool.events();
        let watching = health.spawn(&pool);
        let client = ServiceBuilder::new()
            .layer(BalanceLayer::least_requests(pool.clone()))
            .timeout(TIMEOUT)
            .service(http_client());
        let mut site = Self {
            servers,
            events,
            changes: Vec::new(),
            load: Load::begin(CLIENTS, &client),
            _watching: watching,
            begin: Instant::now(),
            pool,
        };
        for name in NAMES {
            site.until_used(name).await;
        }
        Some(site)
    }

    fn server(&mut self, name: &str) -> &mut Server {
        let at = NAMES.iter().position(|known| *known == name);
        &mut self.servers[at.expect("one of the three")]
    }

    fn info(&self, name: &str) -> BackendInfo {
        self.pool.get(name).expect("it is a member")
    }

    /// How often a backend came into a state.
    fn times(&self, name: &str, state: State) -> usize {
        let changes = self.changes.iter();
        changes
            .filter(|(changed, to)| changed == name && *to == state)
            .count()
    }

    fn hear(&mut self, event: &PoolEvent) {
        let seconds = event.at().saturating_duration_since(self.begin);
        println!("  {:7.3} s  {event}", seconds.as_secs_f64());
        if let Happened::Changed { backend, to, .. } = event.what() {
            self.changes.push((backend.to_string(), *to));
        }
    }

    fn hear_all(&mut self) {
        while let Some(event) = self.events.try_next() {
            self.hear(&event);
        }
    }

    /// Waits until it is so, and hears what the pool says meanwhile. Prints how long it took.
    async fn until(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !is_so(self) {
            assert!(begin.elapsed() < PATIENCE, "waited in vain: {what}");
            // What the clients saw is no event of the pool.
            let event = timeout(Duration::from_millis(5), self.events.next()).await;
            if let Ok(event) = event {
                self.hear(&event.expect("the pool is there"));
            }
        }
        println!("{what}: after {:.1?}", begin.elapsed());
    }

    /// Waits until a backend is in a state, or has been in the meantime.
    async fn until_state(&mut self, name: &str, state: State) {
        let before = self.times(name, state);
        let what = format!("{name} is {state}");
        self.until(&what, |site| {
            site.times(name, state) > before || site.info(name).state() == state
        })
        .await;
    }

    async fn until_used(&mut self, name: &str) {
        let before = self.load.tally(name).successes;
        let what = format!("{name} answers");
        self.until(&what, |site| site.load.tally(name).successes > before + 10)
            .await;
    }

    /// Waits until the last of the requests has ended that a backend got while it was in use.
    async fn until_idle(&mut self, name: &str) {
        let what = format!("{name} has nothing in flight");
        self.until(&what, |site| site.info(name).in_flight() == 0)
            .await;
    }

    /// Waits until many requests were answered by whoever is left.
    async fn until_many_are_answered(&mut self) {
        let before = self.load.successes();
        self.until("300 requests are answered", |site| {
            site.load.successes() >= before + 300
        })
        .await;
    }

    /// Stops the clients, and sees whether all is counted, and counted back.
    async fn end(mut self) {
        self.load.end().await;
        for backend in self.pool.list() {
            let (counts, tally) = (backend.counts(), self.load.tally(backend.id()));
            println!("{backend}: {counts:?}");
            assert_eq!(backend.in_flight(), 0, "{backend}");
            assert_eq!(counts.successes(), tally.successes, "{backend}");
            assert_eq!(counts.failures(), tally.failures.len() as u64, "{backend}");
            assert_eq!(counts.total(), tally.total(), "{backend}");
        }
        // It was well all along: if it failed, then because this machine took too long.
        let of_c = self.load.tally("c").failures;
        let timeouts = of_c.iter().all(|failure| *failure == Failure::Timeout);
        assert!(timeouts, "{of_c:?}");
        let nowhere = self.load.tally(NOWHERE).total();
        println!("c failed {} times, {nowhere} found nobody", of_c.len());
    }
}

fn probing() -> Result<Health<Address>, InvalidSetting> {
    // Over a new connection each time, as a client that is new would.
    let client: HttpClient = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build_http();
    let settings = ProbeSettings::new()
        .interval(Duration::from_millis(250))?
        .timeout(Duration::from_millis(500))?;
    let health = Health::new().ejection(ejection()?);
    Ok(health.probe(HttpProbe::new(client), settings))
}

/// Two of three may be out, for 0.3 s at first, and 0.5 s at most.
fn ejection() -> Result<Ejection, InvalidSetting> {
    Ejection::new()
        .failures_in_a_row(5)?
        .gateway_failures_in_a_row(3)?
        .base_time(Duration::from_millis(300))?
        .max_time(Duration::from_millis(500))
        .max_ejected(0.67)
}

#[tokio::test]
async fn probes_keep_a_dead_and_a_hanging_server_out_until_they_are_well() {
    let Some(mut site) = Site::start(probing().expect("valid settings")).await else {
        return;
    };

    site.server("a").stop().await;
    let dead = out_for_good(&mut site, "a").await;
    site.server("b").pause();
    let hanging = out_for_good(&mut site, "b").await;

    site.until_many_are_answered().await;
    for (name, before) in [("a", dead), ("b", hanging)] {
        assert_eq!(site.info(name).state(), State::Unhealthy);
        assert_eq!(site.load.tally(name), before, "no request gets there");
    }

    site.server("a").restart().await;
    site.until_state("a", State::Healthy).await;
    site.until_used("a").await;
    site.server("b").resume();
    site.until_state("b", State::Healthy).await;
    site.until_used("b").await;
    site.end().await;
}

/// Waits until probes have taken a backend out and its last request has ended; returns what had
/// become of them all.
async fn out_for_good(site: &mut Site, name: &str) -> Tally {
    let what = format!("{name} is not eligible");
    site.until(&what, |site| !site.info(name).is_eligible())
        .await;
    site.until_state(name, State::Unhealthy).await;
    site.until_idle(name).await;
    assert!(!site.info(name).is_eligible());
    site.load.tally(name)
}

#[tokio::test]
async fn traffic_alone_tries_a_dead_and_a_hanging_server_with_one_request_at_a_time() {
    let health = Health::new().ejection(ejection().expect("valid settings"));
    let Some(mut site) = Site::start(health).await else {
        return;
    };

    site.server("a").stop().await;
    only_trials(&mut site, "a").await;
    site.server("b").pause();
    only_trials(&mut site, "b").await;
    // With both of them out.
    only_trials(&mut site, "a").await;

    site.server("a").restart().await;
    site.until_state("a", State::Healthy).await;
    site.until_used("a").await;
    site.server("b").resume();
    site.until_state("b", State::Healthy).await;
    site.until_used("b").await;
    site.end().await;
}

/// Waits until a backend is ejected, and from then on holds the requests that get there against
/// the trials, through two of them.
async fn only_trials(site: &mut Site, name: &str) {
    site.until_state(name, State::Ejected).await;
    site.until_idle(name).await;
    site.hear_all();
    let requests = site.load.tally(name).total();
    let trials = site.times(name, State::Trial);
    let ejections = site.times(name, State::Ejected);
    let what = format!("two trials of {name} have failed");
    site.until(&what, |site| {
        site.times(name, State::Ejected) >= ejections + 2
    })
    .await;

    site.until_many_are_answered().await;
    let requests = site.load.tally(name).total() - requests;
    site.hear_all();
    // One was offered already, perhaps.
    let trials = site.times(name, State::Trial) - trials + 1;
    assert!(
        requests <= trials as u64,
        "{requests} requests, {trials} trials"
    );
}
