use std::time::Duration;

use hdrhistogram::Histogram;

use super::{Period, Report, Scenario};
use crate::backend::{Failure, Outcome};

/// What is counted while a scenario runs.
#[derive(Debug)]
pub(super) struct Tally {
    report: Report,
    /// Those that came before this one are not measured.
    first: u64,
    requests: u64,
    open: u64,
    /// The sum of all latencies, in nanoseconds.
    sum: f64,
}

/// Into how many periods a run is divided.
const PERIODS: u64 = 60;

impl Tally {
    pub(super) fn new(scenario: &Scenario, seed: u64) -> Self {
        let periods = PERIODS.min(scenario.requests);
        Self {
            first: (scenario.warm_up * scenario.requests as f64) as u64,
            requests: scenario.requests,
            open: 0,
            sum: 0.0,
            report: Report {
                seed,
                latencies: empty_histogram(),
                mean: Duration::ZERO,
                requests: 0,
                timeouts: 0,
                failures: 0,
                unserved: 0,
                executions: 0,
                probes: 0,
                served: vec![0; scenario.servers],
                periods: vec![Period::new(scenario.servers); periods as usize],
                length: Duration::ZERO,
            },
        }
    }

    /// How many requests wait for their answer.
    pub(super) fn open(&self) -> u64 {
        self.open
    }

    pub(super) fn arrived(&mut self, number: u64, now: u64) {
        self.open += 1;
        if self.is_measured(number) {
            self.report.requests += 1;
        }
        let period = self.period(number);
        if period.requests == 0 {
            period.start = Duration::from_nanos(now);
        }
        period.requests += 1;
    }

    pub(super) fn unserved(&mut self, number: u64) {
        self.open -= 1;
        if self.is_measured(number) {
            self.report.unserved += 1;
        }
    }

    pub(super) fn sent(&mut self, number: u64, server: u32) {
        if self.is_measured(number) {
            self.report.executions += 1;
            self.report.served[server as usize] += 1;
        }
        self.period(number).served[server as usize] += 1;
    }

    pub(super) fn probed(&mut self, number: u64) {
        if self.is_measured(number) {
            self.report.probes += 1;
        }
    }

    pub(super) fn ended(&mut self, number: u64, latency: u64, outcome: Outcome) {
        self.open -= 1;
        let in_time = match outcome {
            Outcome::Success => true,
            Outcome::Failure(Failure::Timeout) => false,
            // One that failed at once was not served fast.
            _ => {
                if self.is_measured(number) {
                    self.report.failures += 1;
                }
                return;
            }
        };
        let period = self.period(number);
        period.answers += 1;
        period.sum += latency as f64;
        if !self.is_measured(number) {
            return;
        }
        self.report.timeouts += u64::from(!in_time);
        self.sum += latency as f64;
        // It grows as it has to, and it can with 64 bits.
        let _ = self.report.latencies.record(latency);
    }

    pub(super) fn report(mut self, now: u64) -> Report {
        let answers = self.report.latencies.len();
        if answers > 0 {
            self.report.mean = Duration::from_nanos((self.sum / answers as f64) as u64);
        }
        self.report.length = Duration::from_nanos(now);
        self.report
    }

    fn is_measured(&self, number: u64) -> bool {
        number >= self.first
    }

    fn period(&mut self, number: u64) -> &mut Period {
        let periods = self.report.periods.len() as u64;
        let period = u128::from(number) * u128::from(periods) / u128::from(self.requests);
        &mut self.report.periods[period as usize]
    }
}

/// Each value is known to 1 in 1000.
fn empty_histogram() -> Histogram<u64> {
    const DIGITS: u8 = 3;
    Histogram::new(DIGITS).expect("3 digits are within its bounds of 0 to 5")
}
