use std::time::Duration;

use super::builder::Disturbances;
use super::clients::Clients;
use super::run::Run;
use super::{Arrivals, Capacities, Change, Discipline, Report, ScenarioBuilder, ServiceTime, To};
use crate::picker::Picker;

/// What is simulated: servers, clients, traffic, and what happens meanwhile. A value that can be
/// kept, compared and run any number of times.
///
/// # Examples
///
/// ```
/// use evenkeel::picker::{LeastRequests, Random};
/// use evenkeel::sim::Scenario;
///
/// let scenario = Scenario::builder(20).load(0.8).requests(50_000).build()?;
/// let random = scenario.run(1, |_client| Random::new());
/// let fewest = scenario.run(1, |_client| LeastRequests::new());
/// assert!(fewest.percentile(99.0) < random.percentile(99.0) / 2);
///
/// // The same once more, to the last digit.
/// assert_eq!(fewest, scenario.run(1, |_client| LeastRequests::new()));
///
/// let error = Scenario::builder(20).load(f64::NAN).build().unwrap_err();
/// assert_eq!(error.to_string(), "invalid load NaN: expected 0.001 to 100");
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    pub(super) title: String,
    pub(super) servers: usize,
    pub(super) clients: usize,
    pub(super) load: f64,
    pub(super) requests: u64,
    pub(super) warm_up: f64,
    pub(super) service: ServiceTime,
    pub(super) arrivals: Arrivals,
    pub(super) discipline: Discipline,
    pub(super) speeds: Vec<f64>,
    pub(super) weights: Vec<u32>,
    pub(super) capacities: Option<Capacities>,
    pub(super) disturbances: Option<Disturbances>,
    pub(super) delay: Duration,
    pub(super) timeout: Option<Duration>,
    pub(super) reports: bool,
    pub(super) probes: Option<Duration>,
    pub(super) changes: Vec<Change>,
}

impl Scenario {
    /// Begins with so many servers, 1 to 100,000, and the defaults of everything else.
    pub fn builder(servers: usize) -> ScenarioBuilder {
        ScenarioBuilder::new(servers)
    }

    /// Simulates it with a picker for each client, which `picker` makes from the client's number.
    ///
    /// All of it follows from the scenario, the pickers and the seed. With the same seed, different
    /// pickers meet the same requests at the same times, and servers of the same speeds.
    ///
    /// During a run the thread's random source, fastrand's, is seeded, so that pickers that begin
    /// somewhere by chance begin there each time; afterwards it is as it was. A picker that draws
    /// from anything else, or reads a clock, is not repeatable.
    ///
    /// A million requests to 100 servers take about a second. Runs are independent: have each seed
    /// simulated by a thread of its own.
    pub fn run<P>(&self, seed: u64, mut picker: impl FnMut(usize) -> P) -> Report
    where
        P: Picker<()> + 'static,
    {
        let _seeded = Seeded::new(seed);
        let clients = Clients::new(self, &mut picker);
        Run::new(self, seed, Some(clients)).finish()
    }

    /// Simulates it without a picker: all requests wait in one queue, and whichever server has room
    /// takes the next, the fastest if there are several. No picker that has to choose at once can
    /// do better, as long as servers are alike.
    ///
    /// For comparison. Servers that join or leave do so here as well; hanging ones are not avoided,
    /// unless they are full.
    pub fn run_central_queue(&self, seed: u64) -> Report {
        Run::new(self, seed, None).finish()
    }

    /// Returns what it is called.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Returns the number of servers, with those that join.
    pub fn servers(&self) -> usize {
        self.servers
    }

    /// Returns the number of clients.
    pub fn clients(&self) -> usize {
        self.clients
    }

    /// Returns the load.
    pub fn load(&self) -> f64 {
        self.load
    }

    /// Returns the number of requests.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// Returns the mean service time: the unit in which the literature gives latencies.
    pub fn mean_service_time(&self) -> Duration {
        self.service.mean()
    }

    /// Returns the settings, to change some of them.
    pub fn to_builder(&self) -> ScenarioBuilder {
        ScenarioBuilder::from(self.clone())
    }

    /// Which servers are there from the start: all but those of which the first that is said is
    /// that they join.
    pub(super) fn at_start(&self) -> Vec<bool> {
        let mut there = vec![true; self.servers];
        for change in self.changes.iter().rev() {
            let (To::Joined | To::Left) = change.to else {
                continue;
            };
            for &server in &change.servers {
                there[server] = change.to != To::Joined;
            }
        }
        there
    }

    /// Requests per nanosecond.
    pub(super) fn rate(&self) -> f64 {
        let speeds = self.speeds.iter().zip(self.at_start());
        let speed: f64 = speeds
            .filter(|&(_, there)| there)
            .map(|(speed, _)| speed)
            .sum();
        let slots = f64::from(self.discipline.slots());
        self.load * speed * slots / self.service.mean().as_nanos() as f64
    }

    /// How long all arrivals take, in nanoseconds.
    pub(super) fn length(&self) -> f64 {
        self.requests as f64 / self.rate()
    }
}

/// The thread's random source, seeded for a while.
struct Seeded {
    before: u64,
}

impl Seeded {
    fn new(seed: u64) -> Self {
        let before = fastrand::get_seed();
        fastrand::seed(crate::random::mix(seed));
        Self { before }
    }
}

impl Drop for Seeded {
    fn drop(&mut self) {
        fastrand::seed(self.before);
    }
}
