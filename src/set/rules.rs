use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Limits, SlowStart};
use crate::InvalidSetting;

/// How a pool decides who is eligible, given what is known of each backend.
///
/// All of it is worked out when something changes, off the request path, and holds for every
/// picker.
///
/// # Examples
///
/// ```
/// use evenkeel::set::{Rules, SlowStart};
/// use evenkeel::{Backend, Pool};
/// use std::time::Duration;
///
/// let pool = Pool::from([
///     Backend::new("a", ()).zone("eu-1a"),
///     Backend::new("b", ()).zone("eu-1b"),
///     Backend::new("far", ()).priority(1),
/// ]);
/// let rules = Rules::new()
///     .panic_threshold(0.4)?
///     .local_zone("eu-1a")
///     .slow_start(SlowStart::new(Duration::from_secs(30))?);
/// pool.set_rules(rules);
/// # Ok::<(), evenkeel::InvalidSetting>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Rules {
    pub(super) panic: f64,
    /// Infinite: a tier is used up to its last healthy backend.
    pub(super) overprovisioning: f64,
    pub(super) local_zone: Option<Arc<str>>,
    pub(super) callers: BTreeMap<Arc<str>, f64>,
    pub(super) slow_start: Option<SlowStart>,
    pub(crate) limits: Limits,
}

impl Rules {
    /// The defaults: panic below 50 %, overprovisioning 1.4, no zone, no slow start, no limits.
    pub fn new() -> Self {
        Self {
            panic: 0.5,
            overprovisioning: 1.4,
            local_zone: None,
            callers: BTreeMap::new(),
            slow_start: None,
            limits: Limits::new(),
        }
    }

    /// Sets the share of healthy backends, degraded ones included, below which a tier ignores
    /// health: then all are used that no operator took out, since so many cannot be wrong, and the
    /// few that are left would only be the next to fall. Default 0.5, as Envoy's. 0 turns it off.
    ///
    /// It counts backends, not weights; those that are drained, forced down or of weight 0 do not
    /// count, nor do unchecked ones, but for those of the beginning
    /// ([`gated`](crate::health::ProbeSettings)). A tier panics only if the tiers
    /// together cannot take the load, that is, if the sum of their
    /// [availabilities](Self::overprovisioning) is below 1.
    ///
    /// # Errors
    ///
    /// When it is not from 0 to 1.
    pub fn panic_threshold(mut self, share: f64) -> Result<Self, InvalidSetting> {
        if !(0.0..=1.0).contains(&share) {
            let expected = "a share from 0 to 1";
            return Err(InvalidSetting::new("panic threshold", share, expected));
        }
        self.panic = share;
        Ok(self)
    }

    /// Sets how many times its usual load a backend can take, from which follows how soon the next
    /// [tier](crate::Backend::priority) is used. Default 1.4, as Envoy's.
    ///
    /// With a factor of f, h of n backends healthy are an availability of min(1, f × h / n). The
    /// tiers are filled in their order up to their availability: at 1.4, the first tier keeps
    /// everything down to 71.4 % healthy. When the sum is below 1, each tier's part is in
    /// proportion; when all tiers panic, each gets its part by its number of backends, backups
    /// included. Degraded backends take what the healthy ones of all tiers leave, by the same
    /// rule.
    ///
    /// # Errors
    ///
    /// When it is not a number from 1 to 1000.
    pub fn overprovisioning(mut self, factor: f64) -> Result<Self, InvalidSetting> {
        if !(1.0..=1000.0).contains(&factor) {
            let expected = "a number from 1 to 1000, such as 1.4";
            return Err(InvalidSetting::new(
                "overprovisioning factor",
                factor,
                expected,
            ));
        }
        self.overprovisioning = factor;
        Ok(self)
    }

    /// Makes later tiers plain backups: a tier is used when no backend of those before it is
    /// healthy, and not before. (A degraded backend is used when no tier has a healthy one.)
    ///
    /// The last healthy backends of a tier then get all of its load, so a tier panics only if it
    /// has none, and no other tier has.
    pub fn plain_backup(mut self) -> Self {
        self.overprovisioning = f64::INFINITY;
        self
    }

    /// Prefers the backends of this [zone](crate::Backend::zone), the one that this program runs
    /// in, as far as their capacity goes. Default: none is preferred.
    ///
    /// The zone's capacity is its share of the weights of the healthy backends of a tier. As long
    /// as that is at least its share of the [callers](Self::callers), its callers stay there.
    /// Otherwise the part that fits stays, and the rest goes to the other zones in proportion to
    /// what they have left over. While a tier is in panic, zones are ignored.
    ///
    /// The name has to be spelt as the backends' zones are: in a zone that has no backends, all
    /// requests go to the others.
    pub fn local_zone(mut self, zone: impl Into<Arc<str>>) -> Self {
        self.local_zone = Some(zone.into());
        self
    }

    /// Says how many programs like this one run in each zone, or what share of the traffic comes
    /// from there. A zone that is not named has none, and keeps its requests as long as it has any
    /// backend. Default: as much from each zone that has backends, and from the local one.
    ///
    /// # Errors
    ///
    /// When a number is negative or not finite, or none is above 0.
    pub fn callers<Z: Into<Arc<str>>>(
        mut self,
        callers: impl IntoIterator<Item = (Z, f64)>,
    ) -> Result<Self, InvalidSetting> {
        let callers: BTreeMap<Arc<str>, f64> = callers
            .into_iter()
            .map(|(zone, callers)| (zone.into(), callers))
            .collect();
        let what = "number of callers";
        for &callers in callers.values() {
            if !(callers >= 0.0 && callers.is_finite()) {
                return Err(InvalidSetting::new(what, callers, "0 or a positive number"));
            }
        }
        let sum: f64 = callers.values().sum();
        if sum <= 0.0 || !sum.is_finite() {
            return Err(InvalidSetting::new(
                what,
                sum,
                "a positive number in some zone",
            ));
        }
        self.callers = callers;
        Ok(self)
    }

    /// Sets how many requests a backend takes at once, and how many wait. Default: as many as there
    /// are.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets new and returned backends start slowly. Default: they get their full share at once.
    pub fn slow_start(mut self, slow_start: SlowStart) -> Self {
        self.slow_start = Some(slow_start);
        self
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new()
    }
}
