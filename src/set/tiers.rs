//! Who gets which part of the requests: tiers, degraded backends, panic, zones. A pure function of
//! what is known of each member.
//!
//! # Algorithm
//!
//! Envoy's, in exact fractions where Envoy rounds to per cent. With an overprovisioning factor of f
//! and h healthy and d degraded of a tier's n backends:
//!
//! ```text
//! availability of the healthy  = min(1, f × h / n)      of the degraded = min(1, f × d / n)
//! sum = min(1, all of them)
//! ```
//!
//! The healthy parts of all tiers, in their order, and then the degraded parts, each take
//! availability / sum of the requests, until nothing is left. If the sum is below 1, a tier with
//! (h + d) / n below the panic threshold uses all of its backends. When all tiers do, each gets its
//! share of all backends instead.
//!
//! # References
//!
//! Envoy, "Priority levels", "Degraded endpoints", "Panic threshold", "Zone aware routing".

use super::Rules;
use super::status::TierStatus;
use super::tally::Tally;
use super::zones::Zones;
use crate::backend::State;

/// What is known of one member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing<'a> {
    pub(super) state: State,
    /// It is unchecked, and counts as one that is out.
    pub(super) founding: bool,
    pub(super) priority: u32,
    pub(super) zone: Option<&'a str>,
    pub(super) weight: u32,
}

/// Backends that a part of the requests goes to.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Portion {
    /// Places in the order of the members, ascending.
    pub(super) places: Vec<u32>,
    /// Of all requests; the shares of all portions add up to 1.
    pub(super) share: f64,
    /// Whether health is ignored.
    pub(super) panic: bool,
    priority: u32,
}

/// The members of one priority, by what is thought of them.
#[derive(Default)]
struct Tier {
    priority: u32,
    healthy: Vec<u32>,
    degraded: Vec<u32>,
    /// They have no capacity before they have shown some.
    trial: Vec<u32>,
    out: Vec<u32>,
    unchecked: Vec<u32>,
    count: usize,
}

/// What of all requests goes to one tier.
#[derive(Clone, Copy, Default)]
struct Share {
    healthy: f64,
    degraded: f64,
    panic: bool,
}

/// Below this a share is a rounding error.
pub(super) const NOTHING: f64 = 1e-9;

/// Divides the requests over `count` members. Empty if nobody is eligible.
pub(super) fn portions<'a>(
    count: usize,
    standing: impl Fn(usize) -> Standing<'a>,
    rules: &'a Rules,
) -> (Vec<Portion>, Tally) {
    let mut tally = Tally::default();
    let mut tiers = Tier::all(count, &standing, &mut tally);
    // If nothing is known of anybody, that says nothing against them.
    if tiers.iter().all(|tier| tier.known() == 0) {
        for tier in &mut tiers {
            tier.out = std::mem::take(&mut tier.unchecked);
        }
    }
    let mut portions = Vec::new();
    let mut add = |tier: &Tier, places: Vec<u32>, share: f64, panic| {
        if share > NOTHING && !places.is_empty() {
            portions.push(Portion {
                places,
                share,
                panic,
                priority: tier.priority,
            });
        }
    };
    for (tier, share) in tiers.iter().zip(shares(&tiers, rules)) {
        if share.panic {
            let groups = [&tier.healthy[..], &tier.degraded, &tier.trial, &tier.out];
            let mut all = groups.concat();
            all.sort_unstable();
            add(tier, all, share.healthy, true);
        } else {
            let members = tier.members();
            let zones = Zones::of(rules, members.map(|place| standing(place as usize)));
            for (places, share) in [
                (&tier.healthy, share.healthy),
                (&tier.degraded, share.degraded),
            ] {
                match &zones {
                    _ if share <= NOTHING => {}
                    None => add(tier, places.clone(), share, false),
                    Some(zones) => {
                        for (places, part) in zones.divide(places, &standing) {
                            add(tier, places, share * part, false);
                        }
                    }
                }
            }
        }
        tally.tiers.push(TierStatus {
            priority: tier.priority,
            members: tier.count,
            healthy: tier.healthy.len(),
            degraded: tier.degraded.len(),
            share: share.healthy + share.degraded,
            panic: share.panic,
        });
    }
    admit_trials(&tiers, &mut portions);
    (portions, tally)
}

/// Backends on trial join those of their own tier, or the first that get requests: a guard lets one
/// request at a time through to them, and the others have somewhere else to go. If there is nobody
/// else, they are asked. In panic there are no guards, and they are among the others already.
fn admit_trials(tiers: &[Tier], portions: &mut Vec<Portion>) {
    for tier in tiers.iter().filter(|tier| !tier.trial.is_empty()) {
        let panics = |portion: &Portion| portion.panic && portion.priority == tier.priority;
        if portions.iter().any(panics) {
            continue;
        }
        if portions.is_empty() {
            portions.push(Portion {
                places: Vec::new(),
                share: 1.0,
                panic: false,
                priority: tier.priority,
            });
        }
        let mut calm = portions.iter_mut().filter(|portion| !portion.panic);
        let first = calm.next();
        let own = calm.find(|portion| portion.priority == tier.priority);
        let portion = match first {
            Some(first) if first.priority == tier.priority => Some(first),
            first => own.or(first),
        };
        if let Some(portion) = portion {
            portion.places.extend(&tier.trial);
            portion.places.sort_unstable();
        }
    }
}

impl Tier {
    /// All tiers, the first first.
    fn all<'a>(
        count: usize,
        standing: &impl Fn(usize) -> Standing<'a>,
        tally: &mut Tally,
    ) -> Vec<Self> {
        let mut tiers: Vec<Self> = Vec::new();
        let mut current = 0;
        for place in 0..count {
            let member = standing(place);
            tally.count(member.state);
            if tiers
                .get(current)
                .is_none_or(|tier| tier.priority != member.priority)
            {
                let found = tiers
                    .iter()
                    .position(|tier| tier.priority == member.priority);
                current = found.unwrap_or_else(|| {
                    tiers.push(Self {
                        priority: member.priority,
                        healthy: Vec::with_capacity(count - place),
                        ..Self::default()
                    });
                    tiers.len() - 1
                });
            }
            let tier = &mut tiers[current];
            tier.count += 1;
            let group = match member.state {
                State::Healthy | State::ForcedUp => &mut tier.healthy,
                State::Trial => &mut tier.trial,
                State::Degraded => &mut tier.degraded,
                State::Unhealthy | State::Ejected => &mut tier.out,
                State::Unchecked if member.founding => &mut tier.out,
                State::Unchecked => &mut tier.unchecked,
                State::Draining | State::ForcedDown | State::ZeroWeight => continue,
            };
            group.push(place as u32);
        }
        tiers.sort_by_key(|tier| tier.priority);
        tiers
    }

    /// All that health has a say in.
    fn members(&self) -> impl Iterator<Item = u32> {
        let usable = self.healthy.iter().chain(&self.degraded).chain(&self.trial);
        usable.chain(&self.out).chain(&self.unchecked).copied()
    }

    /// How many count for its health.
    fn known(&self) -> usize {
        let usable = self.healthy.len() + self.degraded.len();
        usable + self.trial.len() + self.out.len()
    }

    fn availability(&self, count: usize, factor: f64) -> f64 {
        if count == 0 {
            0.0
        } else {
            let part = count as f64 * factor / self.known() as f64;
            whole(part)
        }
    }

    fn is_below(&self, threshold: f64) -> bool {
        let usable = self.healthy.len() + self.degraded.len();
        (usable as f64) < threshold * self.known() as f64
    }
}

/// A part of a whole: 1.4 times 5 / 7 is 1, whatever the processor makes of it.
fn whole(part: f64) -> f64 {
    if part > 1.0 - NOTHING { 1.0 } else { part }
}

fn shares(tiers: &[Tier], rules: &Rules) -> Vec<Share> {
    let available = |count: fn(&Tier) -> usize| {
        let availability =
            move |tier: &Tier| tier.availability(count(tier), rules.overprovisioning);
        tiers.iter().map(availability).collect::<Vec<f64>>()
    };
    let healthy = available(|tier| tier.healthy.len());
    let degraded = available(|tier| tier.degraded.len());
    let sum = whole(healthy.iter().chain(&degraded).sum());
    let panic: Vec<bool> = tiers
        .iter()
        .map(|tier| sum < 1.0 && tier.is_below(rules.panic))
        .collect();

    let known: usize = tiers.iter().map(Tier::known).sum();
    let in_panic = |tier: &Tier| tier.known() == 0 || tier.is_below(rules.panic);
    if known > 0 && sum < 1.0 && tiers.iter().all(in_panic) {
        let share = |tier: &Tier| Share {
            healthy: tier.known() as f64 / known as f64,
            degraded: 0.0,
            panic: tier.known() > 0,
        };
        return tiers.iter().map(share).collect();
    }

    let mut left = 1.0f64;
    let mut take = |availability: f64| {
        let part = if sum > 0.0 { availability / sum } else { 0.0 };
        let share = part.min(left);
        left -= share;
        // What rounding leaves is nothing.
        if left < NOTHING {
            left = 0.0;
        }
        share
    };
    let healthy: Vec<f64> = healthy.into_iter().map(&mut take).collect();
    let degraded: Vec<f64> = degraded.into_iter().map(&mut take).collect();
    healthy
        .into_iter()
        .zip(degraded)
        .zip(panic)
        .map(|((healthy, degraded), panic)| {
            // One that gets nothing has nothing to ignore.
            if panic && healthy + degraded > NOTHING {
                Share {
                    healthy: healthy + degraded,
                    degraded: 0.0,
                    panic,
                }
            } else {
                Share {
                    healthy,
                    degraded,
                    panic: false,
                }
            }
        })
        .collect()
}
