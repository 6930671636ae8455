mod central;
mod request;
#[cfg(all(test, not(evenkeel_loom)))]
mod tests;
mod world;

use std::collections::VecDeque;

use super::agenda::{Agenda, Due, Lane};
use super::arrivals::Stream;
use super::clients::Clients;
use super::clock::instant;
use super::jobs::Jobs;
use super::server::Server;
use super::service_time::Sampler;
use super::tally::Tally;
use super::{Report, Scenario};
use crate::backend::{Handle, Outcome};
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
    scenario: &'a Scenario,
    now: u64,
    agenda: Agenda,
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
    servers: Vec<Server>,
    there: Vec<bool>,
    /// Without clients, all requests wait in one queue.
    clients: Option<Clients>,
    queue: VecDeque<u32>,
    turn: usize,
    tally: Tally,
    traffic: fastrand::Rng,
    world: fastrand::Rng,
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
        let measured = clients.is_some() && (scenario.reports || scenario.probes.is_some());
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
                .map(|server| {
                    if measured {
                        server.measured(instant(0))
                    } else {
                        server
                    }
                })
                .collect(),
            there: scenario.at_start(),
            clients,
            queue: VecDeque::new(),
            turn: 0,
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

    fn reschedule(&mut self, server: u32) {
        if let Some((at, entry)) = self.servers[server as usize].reschedule(self.now) {
            self.agenda.add(at, Due::End { server, entry });
        }
    }
}
