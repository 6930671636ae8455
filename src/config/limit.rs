use serde::Deserialize;

use super::invalid::{Invalid, Told};
use super::values::Time;
use crate::limit::LimitLayer;

/// `[limit]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct LimitSection {
    max_in_flight: Option<usize>,
    queue: Option<usize>,
    newest_first: bool,
    max_wait: Option<Time>,
    retry_after: Option<Time>,
}

/// `[replay]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct ReplaySection {
    pub(super) max_bytes: Option<usize>,
}

impl LimitSection {
    /// Changes what a layer of its own says otherwise.
    pub(super) fn build(self, layer: LimitLayer) -> Result<LimitLayer, Invalid> {
        let layer = layer
            .told("max_in_flight", self.max_in_flight, |layer, max| {
                layer.set_max(max).map(|()| layer)
            })?
            .with(self.queue, LimitLayer::queue)
            .with(self.newest_first.then_some(()), |layer, ()| {
                layer.newest_first()
            })
            .with(self.max_wait, |layer, time| layer.max_wait(time.0))
            .with(self.retry_after, |layer, time| layer.retry_after(time.0));
        Ok(layer)
    }
}
