//! What the reports of one backend are worth, for how long, as gRFC A58 has it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::load::LoadReport;

/// The weight that a backend's reports give it. Shared by all tables that know the backend.
pub(super) struct ReportedWeight {
    /// An `f64`.
    weight: AtomicU64,
    /// When the reports began to come, in nanoseconds.
    since: AtomicU64,
    /// When the last one came; 0 is never. It publishes the other two.
    last: AtomicU64,
}

/// For how long reports count, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Periods {
    pub(super) blackout: u64,
    pub(super) expiration: u64,
}

impl Default for ReportedWeight {
    /// Nothing is known of it yet.
    fn default() -> Self {
        Self {
            weight: AtomicU64::new(0),
            since: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }
}

impl ReportedWeight {
    /// Takes a weight that was reported at a time. After a silence that let the one before expire,
    /// the blackout begins anew.
    pub(super) fn note(&self, weight: f64, at: u64, periods: Periods) {
        let at = at.max(1);
        if is_expired(self.last.load(Ordering::Relaxed), at, periods) {
            self.since.store(at, Ordering::Relaxed);
        }
        self.weight.store(weight.to_bits(), Ordering::Relaxed);
        // Reports of several threads may come in any order.
        self.last.fetch_max(at, Ordering::Release);
    }

    /// Returns the weight, if it is to be used by now.
    pub(super) fn usable(&self, now: u64, periods: Periods) -> Option<f64> {
        if is_expired(self.last.load(Ordering::Acquire), now, periods) {
            return None;
        }
        let known_for = now.saturating_sub(self.since.load(Ordering::Relaxed));
        let usable = known_for >= periods.blackout;
        usable.then(|| f64::from_bits(self.weight.load(Ordering::Relaxed)))
    }
}

fn is_expired(last: u64, now: u64, periods: Periods) -> bool {
    last == 0 || now.saturating_sub(last) >= periods.expiration
}

/// The weight that a report gives: `qps / (utilization + eps / qps × penalty)`. None if it lacks
/// what that takes, or gives no number above 0.
pub(super) fn weight_of(report: &LoadReport, penalty: f64) -> Option<f64> {
    let above_zero = |value: &f64| *value > 0.0 && value.is_finite();
    let qps = report.requests_per_second().filter(above_zero)?;
    let utilization = report.utilization().filter(above_zero)?;
    let errors = report.errors_per_second().unwrap_or(0.0);
    let weight = qps / (utilization + errors / qps * penalty);
    Some(weight).filter(above_zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const PERIODS: Periods = Periods {
        blackout: 10 * SECOND,
        expiration: 180 * SECOND,
    };

    fn report(qps: f64, eps: f64, utilization: f64) -> LoadReport {
        LoadReport::new()
            .with_requests_per_second(qps)
            .with_errors_per_second(eps)
            .with_cpu_utilization(utilization)
    }

    #[test]
    fn the_weight_is_that_of_a58() {
        let close = |report, penalty, expected: f64| {
            let weight = weight_of(&report, penalty).expect("it is a weight");
            assert!((weight - expected).abs() < 1e-9, "{weight}, not {expected}");
        };
        close(report(100.0, 0.0, 0.5), 1.0, 200.0);
        // 10 % errors: as if the utilization were 0.1 more, or 0.2.
        close(report(100.0, 10.0, 0.4), 1.0, 200.0);
        close(report(100.0, 10.0, 0.3), 2.0, 200.0);
        close(report(100.0, 10.0, 0.5), 0.0, 200.0);
        // The application knows better than the processors.
        let both = report(100.0, 0.0, 0.9).with_application_utilization(0.25);
        close(both, 1.0, 400.0);
        let zero = report(100.0, 0.0, 0.5).with_application_utilization(0.0);
        close(zero, 1.0, 200.0);
    }

    #[test]
    fn without_rate_or_utilization_there_is_no_weight() {
        for (qps, utilization) in [(0.0, 0.5), (100.0, 0.0), (f64::MAX, f64::MIN_POSITIVE)] {
            assert_eq!(weight_of(&report(qps, 0.0, utilization), 1.0), None);
        }
        assert_eq!(weight_of(&report(f64::MIN_POSITIVE, 1e300, 0.5), 1.0), None);
        assert_eq!(weight_of(&LoadReport::new(), 1.0), None);
    }

    #[test]
    fn a_weight_is_used_after_the_blackout_and_until_it_expires() {
        let weight = ReportedWeight::default();
        assert_eq!(weight.usable(1_000 * SECOND, PERIODS), None);
        for second in 1_000..1_006 {
            weight.note(5.0, second * SECOND, PERIODS);
        }
        assert_eq!(weight.usable(1_010 * SECOND - 1, PERIODS), None);
        assert_eq!(weight.usable(1_010 * SECOND, PERIODS), Some(5.0));
        assert_eq!(weight.usable(1_185 * SECOND - 1, PERIODS), Some(5.0));
        assert_eq!(weight.usable(1_185 * SECOND, PERIODS), None);
        // A report after that begins a new blackout.
        weight.note(7.0, 1_185 * SECOND, PERIODS);
        assert_eq!(weight.usable(1_195 * SECOND - 1, PERIODS), None);
        assert_eq!(weight.usable(1_195 * SECOND, PERIODS), Some(7.0));
    }

    #[test]
    fn a_report_in_time_keeps_the_weight_in_use() {
        let weight = ReportedWeight::default();
        weight.note(5.0, 1_000 * SECOND, PERIODS);
        weight.note(6.0, 1_180 * SECOND - 1, PERIODS);
        assert_eq!(weight.usable(1_180 * SECOND, PERIODS), Some(6.0));
    }

    #[test]
    fn without_a_blackout_the_first_report_counts_at_once() {
        let periods = Periods {
            blackout: 0,
            ..PERIODS
        };
        let weight = ReportedWeight::default();
        weight.note(5.0, 0, periods);
        assert_eq!(weight.usable(0, periods), Some(5.0));
    }
}
