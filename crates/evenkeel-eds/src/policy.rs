use std::sync::Arc;
use std::time::Duration;

use envoy_types::pb::envoy::config::endpoint::v3::cluster_load_assignment as pb;
use envoy_types::pb::envoy::r#type::v3::FractionalPercent;
use envoy_types::pb::envoy::r#type::v3::fractional_percent::DenominatorType;
use tokio::sync::watch;

use crate::mapping::duration;

/// What an assignment says beside its endpoints: how they are to be used.
///
/// A pool has rules of its own, which nobody but you changes: this is for you to read, and to
/// apply where you want that.
///
/// # Examples
///
/// Overprovisioning as the management server wants it:
///
/// ```
/// use evenkeel::Pool;
/// use evenkeel::set::Rules;
/// use evenkeel_eds::Policy;
///
/// fn apply<T: evenkeel::backend::Value>(policy: &Policy, pool: &Pool<T>) -> Result<(), evenkeel::InvalidSetting> {
///     let factor = policy.overprovisioning_factor().unwrap_or(140);
///     pool.set_rules(Rules::new().overprovisioning(f64::from(factor) / 100.0)?);
///     Ok(())
/// }
/// # apply(&Policy::default(), &Pool::<u16>::new()).unwrap();
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    drop_overloads: Vec<DropOverload>,
    overprovisioning_factor: Option<u32>,
    endpoint_stale_after: Option<Duration>,
    weighted_priority_health: bool,
}

/// A part of the requests that is to be dropped, for the sake of the others.
#[derive(Clone, Debug, PartialEq)]
pub struct DropOverload {
    category: String,
    share: f64,
}

impl Policy {
    /// What the message says, and what of it is no good and left out.
    pub(crate) fn read(message: &pb::Policy) -> (Self, Vec<String>) {
        let mut wrong = Vec::new();
        let mut drop_overloads = Vec::new();
        for drop in &message.drop_overloads {
            if drop.category.is_empty() {
                wrong.push("drop_overloads has one without a category".to_owned());
                continue;
            }
            let share = drop.drop_percentage.map_or(Some(0.0), share);
            match share {
                Some(share) => drop_overloads.push(DropOverload {
                    category: drop.category.clone(),
                    share,
                }),
                None => wrong.push(format!(
                    "drop_overloads has no known denominator for {:?}",
                    drop.category
                )),
            }
        }
        let overprovisioning_factor = message.overprovisioning_factor.map(|factor| factor.value);
        if overprovisioning_factor == Some(0) {
            wrong.push("overprovisioning_factor is 0".to_owned());
        }
        let endpoint_stale_after = message.endpoint_stale_after.as_ref().map(duration);
        if endpoint_stale_after.is_some_and(|after| after.is_none_or(|after| after.is_zero())) {
            wrong.push("endpoint_stale_after is not above zero".to_owned());
        }
        let policy = Self {
            drop_overloads,
            overprovisioning_factor: overprovisioning_factor.filter(|&factor| factor > 0),
            endpoint_stale_after: endpoint_stale_after
                .flatten()
                .filter(|after| !after.is_zero()),
            weighted_priority_health: message.weighted_priority_health,
        };
        (policy, wrong)
    }

    /// Returns what is to be dropped: one after the other, each from what the ones before have left.
    pub fn drop_overloads(&self) -> &[DropOverload] {
        &self.drop_overloads
    }

    /// Returns by how much the priorities are overprovisioned, in percent; Envoy's default is 140.
    pub fn overprovisioning_factor(&self) -> Option<u32> {
        self.overprovisioning_factor
    }

    /// Returns for how long the assignment is good, unless another one comes. Then the source is
    /// [stale](evenkeel::set::SourceState::Stale).
    pub fn endpoint_stale_after(&self) -> Option<Duration> {
        self.endpoint_stale_after
    }

    /// Returns whether the health of a priority is to be the weight of its healthy endpoints, and not
    /// their number.
    pub fn weighted_priority_health(&self) -> bool {
        self.weighted_priority_health
    }
}

impl DropOverload {
    /// Returns what it is for.
    pub fn category(&self) -> &str {
        &self.category
    }

    /// Returns which part of the requests, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.share
    }
}

fn share(percent: FractionalPercent) -> Option<f64> {
    let denominator = match DenominatorType::try_from(percent.denominator).ok()? {
        DenominatorType::Hundred => 100.0,
        DenominatorType::TenThousand => 10_000.0,
        DenominatorType::Million => 1_000_000.0,
    };
    Some((f64::from(percent.numerator) / denominator).min(1.0))
}

/// The [`Policy`] of the last assignment, and of those to come, from
/// [`Eds::policies`](crate::Eds::policies).
#[derive(Clone, Debug)]
pub struct Policies(pub(crate) watch::Receiver<Arc<Policy>>);

impl Policies {
    /// Returns that of the last assignment, or one that says nothing.
    pub fn get(&self) -> Arc<Policy> {
        Arc::clone(&self.0.borrow())
    }

    /// Waits until it is another one than this has returned last; `None` if the source is dropped.
    ///
    /// # Cancel safety
    ///
    /// Nothing is missed if the future is dropped.
    pub async fn changed(&mut self) -> Option<Arc<Policy>> {
        self.0.changed().await.ok()?;
        Some(Arc::clone(&self.0.borrow_and_update()))
    }
}
