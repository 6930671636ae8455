use std::time::Duration;

use crate::load::LoadReport;

/// What a server knows of its own load.
#[derive(Debug, Default)]
pub(super) struct Meter {
    in_flight: u32,
    /// Of what it has answered, in nanoseconds; 0 while it has not answered.
    average: f64,
}

impl Meter {
    pub(super) fn start(&mut self) {
        self.in_flight += 1;
    }

    /// What to say on the response of a request, which has been answered well after so long, if it
    /// has. Then it is over.
    pub(super) fn finish(&mut self, took: Option<u64>) -> LoadReport {
        const NEW: f64 = 0.1;
        if let Some(took) = took.map(|took| took as f64) {
            self.average = if self.average == 0.0 {
                took
            } else {
                self.average + NEW * (took - self.average)
            };
        }
        let report = self.report();
        self.in_flight -= 1;
        report
    }

    pub(super) fn report(&self) -> LoadReport {
        let report = LoadReport::new().with_in_flight(self.in_flight);
        if self.average == 0.0 {
            return report;
        }
        report.with_latency(Duration::from_nanos(self.average as u64))
    }
}
