use serde::Deserialize;

use super::invalid::{Invalid, Told};
use super::values::{OrOff, Time};
use crate::Backoff;
use crate::backend::Failure;
use crate::http::ByMethod;
use crate::retry::{Budget, Hedge, RetryLayer};

/// `[retry]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RetrySection {
    attempts: Option<u32>,
    on: Option<Vec<Kind>>,
    on_rejected: bool,
    backoff: Option<BackoffSection>,
    budget: BudgetSection,
    hedge: Option<HedgeSection>,
}

/// [`Failure`], by the names that it has in texts like these.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Connect,
    Timeout,
    Gateway,
    Response,
    Body,
    Other,
}

/// `[retry.backoff]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackoffSection {
    base: Time,
    max: Time,
}

/// `[retry.budget]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct BudgetSection {
    share: Option<f64>,
    per_second: Option<f64>,
    window: Option<Time>,
}

/// `[retry.hedge]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct HedgeSection {
    after: Option<Time>,
    percentile: Option<f64>,
    minimum: Option<Time>,
}

impl RetrySection {
    /// Changes what a layer says otherwise.
    pub(super) fn build(
        self,
        layer: RetryLayer<ByMethod>,
    ) -> Result<RetryLayer<ByMethod>, Invalid> {
        let budget = self
            .budget
            .build()
            .map_err(|invalid| invalid.within("budget"))?;
        let hedge = self.hedge.map(HedgeSection::build).transpose();
        let hedge = hedge.map_err(|invalid| invalid.within("hedge"))?;
        let layer = layer
            .budget(budget)
            .told("attempts", self.attempts, RetryLayer::attempts)?
            .told("backoff", self.backoff, |layer, section| {
                Backoff::new(section.base.0, section.max.0).map(|backoff| layer.backoff(backoff))
            })?
            .with(self.on, |layer, kinds| {
                layer.on(kinds.into_iter().map(Failure::from))
            })
            .with(self.on_rejected.then_some(()), |layer, ()| {
                layer.on_rejected()
            })
            .with(hedge, RetryLayer::hedge);
        Ok(layer)
    }
}

impl BudgetSection {
    fn build(self) -> Result<Budget, Invalid> {
        Budget::new()
            .told("share", self.share, Budget::share)?
            .told("per_second", self.per_second, Budget::per_second)?
            .told("window", self.window, |budget, time| budget.window(time.0))
    }
}

impl HedgeSection {
    fn build(self) -> Result<Hedge, Invalid> {
        let hedge = match (self.after, self.percentile) {
            (Some(delay), None) => Hedge::after(delay.0),
            (None, Some(share)) => {
                Hedge::percentile(share).map_err(|error| Invalid::at("percentile", error))?
            }
            (after, _) => {
                let given = after.map_or("neither", |_| "both");
                let expected = "one of after and percentile";
                return Err(Invalid::setting("after", "delay", given, expected));
            }
        };
        Ok(hedge.with(self.minimum, |hedge, time| hedge.minimum(time.0)))
    }
}

impl From<Kind> for Failure {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Connect => Self::Connect,
            Kind::Timeout => Self::Timeout,
            Kind::Gateway => Self::Gateway,
            Kind::Response => Self::Response,
            Kind::Body => Self::Body,
            Kind::Other => Self::Other,
        }
    }
}

/// `[timeouts]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TimeoutsSection {
    pub(super) attempt_timeout: Option<OrOff<Time>>,
    pub(super) total_time: Option<OrOff<Time>>,
    pub(super) max_wait: Option<Time>,
    pub(super) affinity_wait: Option<Time>,
}
