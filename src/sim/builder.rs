use std::time::Duration;

use super::check::{MOST_SERVERS, positive, share, speed};
use super::{Arrivals, Capacities, Change, Discipline, Scenario, ServiceTime, To, When};
use crate::InvalidSetting;

/// Settings of a [`Scenario`], made with [`Scenario::builder`] or [`Scenario::named`].
///
/// Nothing is checked before [`build`](Self::build).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use evenkeel::sim::Scenario;
///
/// let scenario = Scenario::builder(20)
///     .title("two at half speed, behind a slow network")
///     .clients(4)
///     .load(0.6)
///     .speeds(|server| if server < 2 { 0.5 } else { 1.0 })
///     .network_delay(Duration::from_millis(10))
///     .timeout(Duration::from_secs(2))
///     .build()?;
/// let busier = scenario.to_builder().load(0.8).build()?;
/// assert_eq!(busier.clients(), 4);
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a scenario comes from `build`"]
pub struct ScenarioBuilder {
    scenario: Scenario,
}

impl ScenarioBuilder {
    pub(super) fn new(servers: usize) -> Self {
        Self {
            scenario: Scenario {
                title: String::new(),
                servers,
                clients: 1,
                load: 0.9,
                requests: 1_000_000,
                warm_up: 0.2,
                service: ServiceTime::exponential(Duration::from_millis(100)),
                arrivals: Arrivals::poisson(),
                discipline: Discipline::Fifo { slots: 1 },
                speeds: vec![1.0; servers.min(MOST_SERVERS)],
                weights: vec![1; servers.min(MOST_SERVERS)],
                capacities: None,
                disturbances: None,
                delay: Duration::ZERO,
                timeout: None,
                reports: false,
                probes: None,
                changes: Vec::new(),
            },
        }
    }

    /// Sets what to call it, for tables and pictures. Default: nothing.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.scenario.title = title.into();
        self
    }

    /// Sets how many clients there are, 1 to 100,000. Default: 1.
    ///
    /// Each is a program with a balancer of its own, and knows only what it sees itself: a pool and
    /// a picker for each. That takes about 500 bytes for each client and server.
    pub fn clients(mut self, clients: usize) -> Self {
        self.scenario.clients = clients;
        self
    }

    /// Sets the load, 0.001 to 100. Default: 0.9.
    ///
    /// 1 is what all servers can do together that are there from the start, each with all its slots
    /// at its [speed](Self::speeds) and a capacity of 1.
    pub fn load(mut self, load: f64) -> Self {
        self.scenario.load = load;
        self
    }

    /// Sets how many requests all clients send together, 1 to 4 billion. Default: 1,000,000.
    pub fn requests(mut self, requests: u64) -> Self {
        self.scenario.requests = requests;
        self
    }

    /// Sets the share of requests that come first and are not measured, from 0 to below 1. Default:
    /// 0.2. With 0 the report shows the cold start, too.
    pub fn warm_up(mut self, share: f64) -> Self {
        self.scenario.warm_up = share;
        self
    }

    /// Sets the law of the service time. Default: exponential, 100 ms.
    pub fn service(mut self, service: ServiceTime) -> Self {
        self.scenario.service = service;
        self
    }

    /// Sets the law of arrivals. Default: Poisson.
    pub fn arrivals(mut self, arrivals: Arrivals) -> Self {
        self.scenario.arrivals = arrivals;
        self
    }

    /// Sets how servers share themselves among their requests. Default: in order, one at a time.
    pub fn discipline(mut self, discipline: Discipline) -> Self {
        self.scenario.discipline = discipline;
        self
    }

    /// Sets each server's speed, 0.001 to 1000: at 2 it takes half as long. Default: 1.
    pub fn speeds(mut self, speed: impl FnMut(usize) -> f64) -> Self {
        self.scenario.speeds = self.of_each_server(speed);
        self
    }

    /// Sets the weight that pools give each server. Default: 1.
    pub fn weights(mut self, weight: impl FnMut(usize) -> u32) -> Self {
        self.scenario.weights = self.of_each_server(weight);
        self
    }

    /// Lets capacities be redrawn. Default: all are 1, for ever.
    pub fn capacities(mut self, capacities: Capacities) -> Self {
        self.scenario.capacities = Some(capacities);
        self
    }

    /// Lets something else disturb each server now and then: after times of mean `every`, for times
    /// of mean `lasting`, both exponential, it runs at `left` of its speed, 0.001 to 1. Default:
    /// nothing does.
    pub fn disturbances(mut self, every: Duration, lasting: Duration, left: f64) -> Self {
        self.scenario.disturbances = Some(Disturbances {
            every,
            lasting,
            left,
        });
        self
    }

    /// Sets the network's delay, one way: of each request, response, probe and answer, up to a day.
    /// Default: 0.
    pub fn network_delay(mut self, delay: Duration) -> Self {
        self.scenario.delay = delay;
        self
    }

    /// Sets for how long clients wait for a response. Default: for ever.
    ///
    /// The server learns nothing of it, and answers in the end; nobody listens.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.scenario.timeout = Some(timeout);
        self
    }

    /// Sets whether servers say on each response how loaded they are: requests in flight, with this
    /// one, and a latency. Default: no.
    pub fn reports(mut self, reports: bool) -> Self {
        self.scenario.reports = reports;
        self
    }

    /// Lets servers answer probes that pickers [ask](crate::picker::Context::probe) for. Default:
    /// nobody sends any.
    ///
    /// Each probe is so much work for the server, at speed 1, which it does as it does requests;
    /// it answers at once. One that hangs, or has left, does not answer. `None` switches them off.
    pub fn probes(mut self, cost: impl Into<Option<Duration>>) -> Self {
        self.scenario.probes = cost.into();
        self
    }

    /// Sets the speed of servers from a moment on.
    pub fn step(
        self,
        when: impl Into<When>,
        servers: impl IntoIterator<Item = usize>,
        speed: f64,
    ) -> Self {
        self.change(when, servers, To::Speed(speed))
    }

    /// Lets servers fail a share of their requests at once, from 0 to 1, between two moments.
    pub fn failing(
        self,
        from: impl Into<When>,
        until: impl Into<When>,
        servers: impl IntoIterator<Item = usize>,
        share: f64,
    ) -> Self {
        let servers: Vec<usize> = servers.into_iter().collect();
        self.change(from, servers.iter().copied(), To::Failing(share))
            .change(until, servers, To::Failing(0.0))
    }

    /// Lets servers do nothing between two moments; they go on with what they have afterwards.
    pub fn hanging(
        self,
        from: impl Into<When>,
        until: impl Into<When>,
        servers: impl IntoIterator<Item = usize>,
    ) -> Self {
        let servers: Vec<usize> = servers.into_iter().collect();
        self.change(from, servers.iter().copied(), To::Hanging(true))
            .change(until, servers, To::Hanging(false))
    }

    /// Lets servers join the pools at a moment. One of which it was not said before that it
    /// [leaves](Self::leave) is not there until then.
    pub fn join(self, when: impl Into<When>, servers: impl IntoIterator<Item = usize>) -> Self {
        self.change(when, servers, To::Joined)
    }

    /// Lets servers leave the pools at a moment. They end what they have begun.
    pub fn leave(self, when: impl Into<When>, servers: impl IntoIterator<Item = usize>) -> Self {
        self.change(when, servers, To::Left)
    }

    /// Checks the settings.
    ///
    /// # Errors
    ///
    /// When a setting is outside its bounds, or a server is named that there is none of.
    pub fn build(self) -> Result<Scenario, InvalidSetting> {
        let scenario = self.scenario;
        scenario.check()?;
        Ok(scenario)
    }

    fn of_each_server<V>(&self, value: impl FnMut(usize) -> V) -> Vec<V> {
        // More are refused, but only later.
        let servers = self.scenario.servers.min(MOST_SERVERS);
        (0..servers).map(value).collect()
    }

    fn change(
        mut self,
        when: impl Into<When>,
        servers: impl IntoIterator<Item = usize>,
        to: To,
    ) -> Self {
        self.scenario.changes.push(Change {
            when: when.into(),
            servers: servers.into_iter().collect(),
            to,
        });
        self
    }
}

/// To change some settings of one that there is.
impl From<Scenario> for ScenarioBuilder {
    fn from(scenario: Scenario) -> Self {
        Self { scenario }
    }
}

/// What else runs on the servers' machines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Disturbances {
    pub(super) every: Duration,
    pub(super) lasting: Duration,
    pub(super) left: f64,
}

impl Disturbances {
    pub(super) fn check(&self) -> Result<(), InvalidSetting> {
        positive("time between disturbances", self.every)?;
        positive("length of disturbances", self.lasting)?;
        share("speed that is left", self.left)?;
        speed(self.left)
    }
}
