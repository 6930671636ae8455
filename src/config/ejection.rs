use serde::Deserialize;

use super::invalid::{Invalid, Told};
use super::values::{OrOff, Time};
use crate::health::Ejection;

/// `[ejection]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct EjectionSection {
    failures_in_a_row: Option<OrOff<u32>>,
    gateway_failures_in_a_row: Option<OrOff<u32>>,
    success_rate: Option<OrOff<f64>>,
    failure_percentage: Option<OrOff<f64>>,
    latency: Option<LatencySection>,
    minimum_backends: Option<usize>,
    minimum_requests: Option<u64>,
    interval: Option<Time>,
    base_time: Option<Time>,
    max_time: Option<Time>,
    jitter: Option<f64>,
    max_ejected: Option<f64>,
    spare: Option<Time>,
    degraded_for: Option<Time>,
}

/// `[ejection.latency]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LatencySection {
    factor: f64,
    floor: Time,
}

impl EjectionSection {
    /// Changes what a set of rules says otherwise.
    pub(super) fn build(self, rules: Ejection) -> Result<Ejection, Invalid> {
        rules
            .told("failures_in_a_row", self.failures_in_a_row, |rules, n| {
                rules.failures_in_a_row(n.on())
            })?
            .told(
                "gateway_failures_in_a_row",
                self.gateway_failures_in_a_row,
                |rules, n| rules.gateway_failures_in_a_row(n.on()),
            )?
            .told("success_rate", self.success_rate, |rules, factor| {
                rules.success_rate(factor.on())
            })?
            .told(
                "failure_percentage",
                self.failure_percentage,
                |rules, percent| rules.failure_percentage(percent.on()),
            )?
            .told("latency.factor", self.latency, |rules, latency| {
                rules.latency(latency.factor, latency.floor.0)
            })?
            .told(
                "minimum_backends",
                self.minimum_backends,
                Ejection::minimum_backends,
            )?
            .told(
                "minimum_requests",
                self.minimum_requests,
                Ejection::minimum_requests,
            )?
            .told("interval", self.interval, |rules, time| {
                rules.interval(time.0)
            })?
            .told("base_time", self.base_time, |rules, time| {
                rules.base_time(time.0)
            })?
            .with(self.max_time, |rules, time| rules.max_time(time.0))
            .told("jitter", self.jitter, Ejection::jitter)?
            .told("max_ejected", self.max_ejected, Ejection::max_ejected)?
            .with(self.spare, |rules, time| rules.spare(time.0))
            .told("degraded_for", self.degraded_for, |rules, time| {
                rules.degraded_for(time.0)
            })
    }
}
