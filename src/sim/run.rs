use std::collections::VecDeque;

use super::agenda::{Agenda, Due, Lane};
use super::arrivals::Stream;
use super::clients::Clients;
use super::jobs::{Job, Jobs};
use super::server::Server;
use super::service_time::Sampler;
use super::tally::Tally;
use super::{Report, Scenario};
use crate::backend::{Failure, Handle, Outcome};
use crate::load::LoadReport;
use crate::random::mix;

/// A scenario that is being simulated.
///
/// ```text
///            pick          delay              work             delay
/// arrival ---------> sent --------> at server ------> answered ------> received
///    |                                                                    |
///    +--------------------------- timeout --------------------------------+
/// ```
///
/// Time goes from one event to the next. What happens after a fixed time stands in a lane; all else
/// in the agenda.
pub(super) struct Run<'a> {
    pub(super) scenario: &'a Scenario,
    pub(super) now: u64,
    pub(super) agenda: Agenda,
    /// Jobs on their way to servers, and on their way back.
    requests: Lane<u32>,
    responses: Lane<u32>,
    timeouts: Option<Lane<(u32, u64)>>,
    probes: Lane<Probe>,
    answers: Lane<(Probe, LoadReport)>,
    stream: Stream,
    sampler: Sampler,
    next_arrival: u64,
    arrived: u64,
    jobs: Jobs,
    pub(super) servers: Vec<Server>,
    pub(super) there: Vec<bool>,
    /// Without clients, all requests wait in one queue.
    pub(super) clients: Option<Clients>,
    queue: VecDeque<u32>,
    tally: Tally,
    traffic: fastrand::Rng,
    pub(super) world: fastrand::Rng,
    faults: fastrand::Rng,
}

#[derive(Clone, Copy, Debug)]
struct Probe {
    client: u32,
    backend: Handle,
}

/// Where the next event comes from.
#[derive(Clone, Copy)]
enum Next {
    Arrival,
    Agenda,
    Request,
    Response,
    Timeout,
    Probe,
    Answer,
}

/// Work that is a probe, not a request.
const PROBE: u32 = u32::MAX;

impl<'a> Run<'a> {
    pub(super) fn new(scenario: &'a Scenario, seed: u64, clients: Option<Clients>) -> Self {
        let delay = scenario.delay.as_nanos() as u64;
        let timeout = scenario.timeout.map(|timeout| timeout.as_nanos() as u64);
        let servers = scenario.speeds.iter();
        let mut run = Self {
            scenario,
            now: 0,
            agenda: Agenda::default(),
            requests: Lane::new(delay),
            responses: Lane::new(delay),
            timeouts: timeout.map(Lane::new),
            probes: Lane::new(delay),
            answers: Lane::new(delay),
            stream: scenario.arrivals.stream(scenario.rate()),
            sampler: scenario.service.sampler(),
            next_arrival: 0,
            arrived: 0,
            jobs: Jobs::default(),
            servers: servers
                .map(|&speed| Server::new(scenario.discipline, speed))
                .collect(),
            there: scenario.at_start(),
            clients,
            queue: VecDeque::new(),
            tally: Tally::new(scenario, seed),
            traffic: fastrand::Rng::with_seed(mix(seed)),
            world: fastrand::Rng::with_seed(mix(!seed)),
            faults: fastrand::Rng::with_seed(mix(mix(seed))),
        };
        run.next_arrival = run.stream.next(&mut run.traffic);
        run.plan();
        run
    }

    /// Runs to the end.
    pub(super) fn finish(mut self) -> Report {
        while self.step() {}
        self.tally.report(self.now)
    }

    /// Lets the next thing happen. False when every request has got its answer, or its client has
    /// given up.
    fn step(&mut self) -> bool {
        if self.arrived == self.scenario.requests && self.tally.open() == 0 {
            return false;
        }
        let Some((at, next)) = self.next() else {
            return false;
        };
        self.now = at;
        match next {
            Next::Arrival => self.arrive(),
            Next::Agenda => self.happen(),
            Next::Request => {
                if let Some((_, job)) = self.requests.pop() {
                    self.begin(job);
                }
            }
            Next::Response => {
                if let Some((_, job)) = self.responses.pop() {
                    self.receive(job);
                }
            }
            Next::Timeout => {
                if let Some((_, (job, number))) = self.timeouts.as_mut().and_then(Lane::pop) {
                    self.give_up(job, number);
                }
            }
            Next::Probe => {
                if let Some((_, probe)) = self.probes.pop() {
                    self.probe(probe);
                }
            }
            Next::Answer => {
                if let Some((_, (probe, report))) = self.answers.pop() {
                    self.answered(probe, report);
                }
            }
        }
        true
    }

    fn next(&mut self) -> Option<(u64, Next)> {
        // Those that were answered in time are only now found to be so: there is no place in the
        // lane to look them up at.
        if let Some(timeouts) = &mut self.timeouts {
            while let Some(&(_, (job, number))) = timeouts.next()
                && !self.jobs.is_open(job, number)
            {
                timeouts.pop();
            }
        }
        let arrival = (self.arrived < self.scenario.requests).then_some(self.next_arrival);
        let timeout = self.timeouts.as_ref().and_then(Lane::next_at);
        let all = [
            (self.agenda.next_at(), Next::Agenda),
            (self.requests.next_at(), Next::Request),
            (self.responses.next_at(), Next::Response),
            (timeout, Next::Timeout),
            (self.probes.next_at(), Next::Probe),
            (self.answers.next_at(), Next::Answer),
            (arrival, Next::Arrival),
        ];
        let waiting = all.into_iter().filter_map(|(at, next)| Some((at?, next)));
        waiting.min_by_key(|&(at, _)| at)
    }

    fn arrive(&mut self) {
        let clients = self.scenario.clients as u64;
        let client = self.traffic.u64(..clients) as u32;
        let work = self.sampler.sample(&mut self.traffic);
        let number = self.arrived;
        self.arrived += 1;
        self.next_arrival = self.stream.next(&mut self.traffic);
        self.tally.arrived(number, self.now);
        let mut job = Job {
            number,
            server: 0,
            work,
            arrived: self.now,
            begun: 0,
            open: true,
            outcome: Outcome::Success,
            completion: None,
            report: None,
        };
        let Some(clients) = &mut self.clients else {
            let job = self.jobs.add(job);
            self.await_timeout(job, number);
            self.enqueue(job);
            return;
        };
        let Some(picked) = clients.pick(client, self.now) else {
            self.tally.unserved(number);
            return;
        };
        job.server = picked.server;
        job.completion = Some(picked.completion);
        self.tally.sent(number, picked.server);
        let job = self.jobs.add(job);
        self.await_timeout(job, number);
        if self.requests.delay() == 0 {
            self.begin(job);
        } else {
            self.requests.add(self.now, job);
        }
        for backend in picked.context.probes() {
            self.tally.probed(number);
            let probe = Probe { client, backend };
            if self.probes.delay() == 0 {
                self.probe(probe);
            } else {
                self.probes.add(self.now, probe);
            }
        }
    }

    fn await_timeout(&mut self, job: u32, number: u64) {
        if let Some(timeouts) = &mut self.timeouts {
            timeouts.add(self.now, (job, number));
        }
    }

    /// A request has come to its server.
    fn begin(&mut self, job: u32) {
        let now = self.now;
        let Some((number, work)) = self.jobs.get_mut(job).map(|job| {
            job.begun = now;
            (job.server, job.work)
        }) else {
            return;
        };
        let server = &mut self.servers[number as usize];
        server.meter.start();
        if server.fails > 0.0 && self.faults.f64() < server.fails {
            self.respond(job, Outcome::Failure(Failure::Response));
            return;
        }
        server.add(now, job, work);
        self.reschedule(number);
    }

    /// A server answers.
    fn respond(&mut self, job: u32, outcome: Outcome) {
        let now = self.now;
        let Some(found) = self.jobs.get_mut(job) else {
            return;
        };
        let meter = &mut self.servers[found.server as usize].meter;
        let took = (outcome == Outcome::Success).then_some(now - found.begun);
        let report = meter.finish(took);
        found.outcome = outcome;
        found.report = self.scenario.reports.then_some(report);
        if self.responses.delay() == 0 {
            self.receive(job);
        } else {
            self.responses.add(now, job);
        }
    }

    /// A response has come to its client.
    fn receive(&mut self, job: u32) {
        let Some(mut job) = self.jobs.remove(job) else {
            return;
        };
        if !job.open {
            return;
        }
        if let (Some(mut completion), Some(clients)) = (job.completion.take(), &self.clients) {
            let at = clients.instant(self.now);
            if let Some(report) = job.report {
                completion.report_at(report, at);
            }
            completion.answer_at(job.outcome, at);
        }
        let latency = self.now - job.arrived;
        self.tally.ended(job.number, latency, job.outcome);
    }

    /// A client waits no longer.
    fn give_up(&mut self, job: u32, number: u64) {
        if !self.jobs.is_open(job, number) {
            return;
        }
        let Some(job) = self.jobs.get_mut(job) else {
            return;
        };
        job.open = false;
        let outcome = Outcome::Failure(Failure::Timeout);
        if let (Some(completion), Some(clients)) = (job.completion.take(), &self.clients) {
            completion.finish_at(outcome, clients.instant(self.now));
        }
        self.tally.ended(number, self.now - job.arrived, outcome);
    }

    /// A probe has come to its server.
    fn probe(&mut self, probe: Probe) {
        let Some(clients) = &self.clients else {
            return;
        };
        let Some(number) = clients.server(probe.client, probe.backend) else {
            return;
        };
        let server = &mut self.servers[number as usize];
        if server.hangs {
            return;
        }
        let report = server.meter.report();
        let cost = self.scenario.probes.filter(|cost| !cost.is_zero());
        if let Some(cost) = cost {
            server.add(self.now, PROBE, cost.as_nanos() as f64);
            self.reschedule(number);
        }
        if self.answers.delay() == 0 {
            self.answered(probe, report);
        } else {
            self.answers.add(self.now, (probe, report));
        }
    }

    fn answered(&mut self, probe: Probe, report: LoadReport) {
        if let Some(clients) = &self.clients {
            clients.probed(probe.client, probe.backend, report, self.now);
        }
    }

    fn happen(&mut self) {
        match self.agenda.pop() {
            None => {}
            Some((_, Due::End { server, entry })) => self.end(server, entry),
            Some((_, Due::Change(number))) => self.change(number),
            Some((_, Due::Redraw { server })) => self.redraw(server),
            Some((_, Due::Disturbance { server, begins })) => self.disturb(server, begins),
        }
    }

    fn end(&mut self, number: u32, entry: u32) {
        let server = &mut self.servers[number as usize];
        if !server.expects(entry) {
            return;
        }
        let job = server.take_due(self.now);
        self.take_from_queue(number);
        self.reschedule(number);
        if let Some(job) = job.filter(|&job| job != PROBE) {
            self.respond(job, Outcome::Success);
        }
    }

    pub(super) fn reschedule(&mut self, server: u32) {
        if let Some((at, entry)) = self.servers[server as usize].reschedule(self.now) {
            self.agenda.add(at, Due::End { server, entry });
        }
    }

    /// Without clients: gives a request to whoever is fastest of those that have room.
    fn enqueue(&mut self, job: u32) {
        let servers = self.servers.iter().enumerate().zip(&self.there);
        let free = servers.filter(|((_, server), there)| **there && server.has_room());
        let fastest =
            free.max_by(|((_, a), _), ((_, b), _)| a.full_speed().total_cmp(&b.full_speed()));
        match fastest {
            Some(((server, _), _)) => self.give(job, server as u32),
            None => self.queue.push_back(job),
        }
    }

    pub(super) fn take_from_queue(&mut self, server: u32) {
        let number = server as usize;
        while self.there[number] && self.servers[number].has_room() {
            let Some(job) = self.queue.pop_front() else {
                return;
            };
            self.give(job, server);
        }
    }

    fn give(&mut self, job: u32, server: u32) {
        if let Some(found) = self.jobs.get_mut(job) {
            found.server = server;
            self.tally.sent(found.number, server);
            self.begin(job);
        }
    }
}

#[cfg(all(test, not(evenkeel_loom)))]
mod tests;
