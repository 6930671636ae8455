use std::collections::BTreeMap;

use super::Rules;
use super::tiers::{NOTHING, Standing};

/// What part of a tier's callers is in each zone.
pub(super) struct Zones<'a> {
    local: &'a str,
    callers: BTreeMap<&'a str, f64>,
}

impl<'a> Zones<'a> {
    /// `None` if no zone is preferred. The members are those of the tier, whatever their health.
    pub(super) fn of(
        rules: &'a Rules,
        members: impl Iterator<Item = Standing<'a>>,
    ) -> Option<Self> {
        let local = rules.local_zone.as_deref()?;
        let mut callers: BTreeMap<&str, f64> = BTreeMap::new();
        if rules.callers.is_empty() {
            let zones = members.filter_map(|member| member.zone);
            callers.extend(zones.map(|zone| (zone, 1.0)));
            callers.insert(local, 1.0);
        } else {
            let given = rules.callers.iter();
            callers.extend(given.map(|(zone, &callers)| (&**zone, callers)));
        }
        let sum: f64 = callers.values().sum();
        for callers in callers.values_mut() {
            *callers /= sum;
        }
        Some(Self { local, callers })
    }

    /// Divides the requests of the local zone over the zones that these members are in. The parts
    /// add up to 1.
    pub(super) fn divide(
        &self,
        places: &[u32],
        standing: &impl Fn(usize) -> Standing<'a>,
    ) -> Vec<(Vec<u32>, f64)> {
        // Members without a zone are in one of their own, which nobody calls from.
        let mut zones: BTreeMap<Option<&str>, (Vec<u32>, f64)> = BTreeMap::new();
        let mut sum = 0.0;
        for &place in places {
            let member = standing(place as usize);
            let (places, weight) = zones.entry(member.zone).or_default();
            places.push(place);
            *weight += f64::from(member.weight);
            sum += f64::from(member.weight);
        }
        let callers = |zone: Option<&str>| {
            let callers = zone.and_then(|zone| self.callers.get(zone));
            callers.copied().unwrap_or(0.0)
        };
        let mut parts = Vec::new();
        let mut spill = 1.0;
        if let Some((places, weight)) = zones.remove(&Some(self.local)) {
            let callers = callers(Some(self.local));
            let capacity = weight / sum;
            let part = if capacity >= callers - NOTHING {
                1.0
            } else {
                capacity / callers
            };
            spill -= part;
            parts.push((places, part));
        }
        let rest = |zone, weight: f64| (weight / sum - callers(zone)).max(0.0);
        let total: f64 = zones.iter().map(|(zone, of)| rest(*zone, of.1)).sum();
        let elsewhere: f64 = zones.values().map(|of| of.1).sum();
        for (zone, (places, weight)) in zones {
            // If no zone has anything left over, they share by what they have.
            let part = if total > NOTHING {
                rest(zone, weight) / total
            } else {
                weight / elsewhere
            };
            parts.push((places, spill * part));
        }
        parts
    }
}
