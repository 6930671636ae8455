//! The parts of a report that the header has names for.

use std::time::Duration;

use crate::load::LoadReport;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    ApplicationUtilization,
    CpuUtilization,
    MemoryUtilization,
    RequestsPerSecond,
    ErrorsPerSecond,
    InFlight,
    Latency,
    ServiceTime,
}

/// What has been read of a report so far.
#[derive(Debug, Default)]
pub(super) struct Parts {
    report: LoadReport,
    /// A bit for each part that it has.
    seen: u8,
}

/// Why a part was not put in.
pub(super) enum Refused {
    Twice,
    NoLoad,
}

/// What the names of named metrics begin with, in `TEXT`.
pub(super) const NAMED: &str = "named_metrics.";

impl Part {
    /// In the order in which they are written.
    pub(super) const ALL: [Self; 8] = [
        Self::ApplicationUtilization,
        Self::CpuUtilization,
        Self::MemoryUtilization,
        Self::RequestsPerSecond,
        Self::ErrorsPerSecond,
        Self::InFlight,
        Self::Latency,
        Self::ServiceTime,
    ];

    /// Its name in `TEXT`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ApplicationUtilization => "application_utilization",
            Self::CpuUtilization => "cpu_utilization",
            Self::MemoryUtilization => "mem_utilization",
            Self::RequestsPerSecond => "rps_fractional",
            Self::ErrorsPerSecond => "eps",
            Self::InFlight => "named_metrics.in_flight",
            Self::Latency => "named_metrics.latency",
            Self::ServiceTime => "named_metrics.service_time",
        }
    }

    /// Its name among the named metrics, if it is one.
    pub(super) fn metric(self) -> Option<&'static str> {
        self.name().strip_prefix(NAMED)
    }

    pub(super) fn of(report: &LoadReport, part: Self) -> Option<f64> {
        match part {
            Self::ApplicationUtilization => report.application_utilization(),
            Self::CpuUtilization => report.cpu_utilization(),
            Self::MemoryUtilization => report.memory_utilization(),
            Self::RequestsPerSecond => report.requests_per_second(),
            Self::ErrorsPerSecond => report.errors_per_second(),
            Self::InFlight => report.in_flight().map(f64::from),
            Self::Latency => report.latency().map(|time| time.as_secs_f64()),
            Self::ServiceTime => report.service_time().map(|time| time.as_secs_f64()),
        }
    }
}

impl Parts {
    pub(super) fn put(&mut self, part: Part, value: f64) -> Result<(), Refused> {
        let bit = 1 << part as u8;
        if self.seen & bit != 0 {
            return Err(Refused::Twice);
        }
        if !value.is_finite() || value < 0.0 {
            return Err(Refused::NoLoad);
        }
        self.seen |= bit;
        let report = self.report;
        self.report = match part {
            Part::ApplicationUtilization => report.with_application_utilization(value),
            Part::CpuUtilization => report.with_cpu_utilization(value),
            Part::MemoryUtilization => report.with_memory_utilization(value),
            Part::RequestsPerSecond => report.with_requests_per_second(value),
            Part::ErrorsPerSecond => report.with_errors_per_second(value),
            Part::InFlight => report.with_in_flight(value as u32),
            Part::Latency => report.with_latency(seconds(value)?),
            Part::ServiceTime => report.with_service_time(seconds(value)?),
        };
        Ok(())
    }

    pub(super) fn report(self) -> LoadReport {
        self.report
    }
}

fn seconds(value: f64) -> Result<Duration, Refused> {
    Duration::try_from_secs_f64(value).map_err(|_| Refused::NoLoad)
}
