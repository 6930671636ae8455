use std::collections::BTreeMap;

use serde::Deserialize;

use super::invalid::{Invalid, Told};
use super::values::Time;
use crate::backend::AdaptiveLimit;
use crate::set::{Limits, Rules, SlowStart};

/// `[rules]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RulesSection {
    panic_threshold: Option<f64>,
    overprovisioning: Option<f64>,
    plain_backup: bool,
    local_zone: Option<String>,
    callers: Option<BTreeMap<String, f64>>,
}

/// `[slow_start]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SlowStartSection {
    window: Time,
    minimum: Option<f64>,
    aggression: Option<f64>,
}

/// `[limit_each]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitEachSection {
    max_in_flight: Option<u32>,
    adaptive: Option<AdaptiveSection>,
    queue: Option<u32>,
    newest_first: bool,
    retry_after: Option<Time>,
}

/// `[limit_each.adaptive]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AdaptiveSection {
    law: Law,
    bounds: Option<(u32, u32)>,
    initial: Option<u32>,
    backoff: Option<f64>,
    tolerance: Option<f64>,
    smoothing: Option<f64>,
    latency_limit: Option<Time>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Law {
    Gradient,
    Aimd,
}

impl RulesSection {
    pub(super) fn build(
        self,
        slow_start: Option<SlowStartSection>,
        limits: LimitEachSection,
    ) -> Result<Rules, Invalid> {
        if self.plain_backup && self.overprovisioning.is_some() {
            let given = "beside plain_backup";
            let expected = "one of the two";
            return Err(Invalid::setting(
                "rules.overprovisioning",
                "factor",
                given,
                expected,
            ));
        }
        let slow_start = slow_start
            .map(|section| {
                section
                    .build()
                    .map_err(|invalid| invalid.within("slow_start"))
            })
            .transpose()?;
        let limits = limits
            .build()
            .map_err(|invalid| invalid.within("limit_each"))?;
        let rules = Rules::new()
            .limits(limits)
            .with(slow_start, Rules::slow_start)
            .with(self.local_zone, Rules::local_zone)
            .with(self.plain_backup.then_some(()), |rules, ()| {
                rules.plain_backup()
            })
            .told(
                "panic_threshold",
                self.panic_threshold,
                Rules::panic_threshold,
            )
            .and_then(|rules| {
                rules.told(
                    "overprovisioning",
                    self.overprovisioning,
                    Rules::overprovisioning,
                )
            })
            .and_then(|rules| rules.told("callers", self.callers, Rules::callers::<String>));
        rules.map_err(|invalid| invalid.within("rules"))
    }
}

impl SlowStartSection {
    fn build(self) -> Result<SlowStart, Invalid> {
        SlowStart::new(self.window.0)
            .map_err(|error| Invalid::at("window", error))?
            .told("minimum", self.minimum, SlowStart::minimum)?
            .told("aggression", self.aggression, SlowStart::aggression)
    }
}

impl LimitEachSection {
    fn build(self) -> Result<Limits, Invalid> {
        if self.adaptive.is_some() && self.max_in_flight.is_some() {
            let given = "beside adaptive";
            return Err(Invalid::setting(
                "max_in_flight",
                "limit",
                given,
                "one of the two",
            ));
        }
        let adaptive = self
            .adaptive
            .map(|section| {
                section
                    .build()
                    .map_err(|invalid| invalid.within("adaptive"))
            })
            .transpose()?;
        Limits::new()
            .with(self.max_in_flight, Limits::max_in_flight)
            .with(adaptive, Limits::adaptive)
            .with(self.queue, Limits::queue)
            .with(self.newest_first.then_some(()), |limits, ()| {
                limits.newest_first()
            })
            .told("retry_after", self.retry_after, |limits, after| {
                limits.retry_after(after.0)
            })
    }
}

impl AdaptiveSection {
    fn build(self) -> Result<AdaptiveLimit, Invalid> {
        let limit = match self.law {
            Law::Gradient => AdaptiveLimit::gradient(),
            Law::Aimd => AdaptiveLimit::aimd(),
        };
        limit
            .told("bounds", self.bounds, |limit, (min, max)| {
                limit.bounds(min, max)
            })?
            .told("initial", self.initial, AdaptiveLimit::initial)?
            .told("backoff", self.backoff, AdaptiveLimit::backoff)?
            .told("tolerance", self.tolerance, AdaptiveLimit::tolerance)?
            .told("smoothing", self.smoothing, AdaptiveLimit::smoothing)?
            .told("latency_limit", self.latency_limit, |limit, time| {
                limit.latency_limit(time.0)
            })
    }
}
