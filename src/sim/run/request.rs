use super::{PROBE, Probe, Run};
use crate::backend::{Failure, Outcome};
use crate::load::LoadReport;
use crate::sim::clock::instant;
use crate::sim::jobs::Job;

/// The way of a request, and that of a probe.
impl Run<'_> {
    pub(super) fn arrive(&mut self) {
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
            open: true,
            outcome: Outcome::Success,
            completion: None,
            guard: None,
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
    pub(super) fn begin(&mut self, job: u32) {
        let now = self.now;
        let at = instant(self.now);
        let Some(found) = self.jobs.get_mut(job) else {
            return;
        };
        let (number, work) = (found.server, found.work);
        let server = &mut self.servers[number as usize];
        found.guard = server.meter.as_ref().map(|meter| meter.start_at(at));
        if server.fails > 0.0 && self.faults.f64() < server.fails {
            self.respond(job, Outcome::Failure(Failure::Response));
            return;
        }
        server.add(now, job, work);
        self.reschedule(number);
    }

    /// A server answers.
    pub(super) fn respond(&mut self, job: u32, outcome: Outcome) {
        let (now, at) = (self.now, instant(self.now));
        let Some(found) = self.jobs.get_mut(job) else {
            return;
        };
        if let Some(mut guard) = found.guard.take() {
            match outcome {
                Outcome::Success => guard.answered_at(at),
                _ => guard.failed_at(at),
            }
            // Its own request is a part of it.
            if self.scenario.reports {
                found.report = Some(guard.meter().report_at(at));
            }
        }
        found.outcome = outcome;
        if self.responses.delay() == 0 {
            self.receive(job);
        } else {
            self.responses.add(now, job);
        }
    }

    /// A response has come to its client.
    pub(super) fn receive(&mut self, job: u32) {
        let Some(mut job) = self.jobs.remove(job) else {
            return;
        };
        if !job.open {
            return;
        }
        if let Some(mut completion) = job.completion.take() {
            let at = instant(self.now);
            if let Some(report) = job.report {
                completion.report_at(report, at);
            }
            completion.finish_at(job.outcome, at);
        }
        let latency = self.now - job.arrived;
        self.tally.ended(job.number, latency, job.outcome);
    }

    /// A client waits no longer.
    pub(super) fn give_up(&mut self, job: u32, number: u64) {
        if !self.jobs.is_open(job, number) {
            return;
        }
        let Some(job) = self.jobs.get_mut(job) else {
            return;
        };
        job.open = false;
        let outcome = Outcome::Failure(Failure::Timeout);
        if let Some(completion) = job.completion.take() {
            completion.finish_at(outcome, instant(self.now));
        }
        self.tally.ended(number, self.now - job.arrived, outcome);
    }

    /// A probe has come to its server.
    pub(super) fn probe(&mut self, probe: Probe) {
        let Some(clients) = &self.clients else {
            return;
        };
        let Some(number) = clients.server(probe.client, probe.backend) else {
            return;
        };
        let at = instant(self.now);
        let server = &mut self.servers[number as usize];
        let Some(meter) = server.meter.as_ref().filter(|_| !server.hangs) else {
            return;
        };
        let report = meter.report_at(at);
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

    pub(super) fn answered(&mut self, probe: Probe, report: LoadReport) {
        if let Some(clients) = &self.clients {
            clients.probed(probe.client, probe.backend, report, self.now);
        }
    }
}
