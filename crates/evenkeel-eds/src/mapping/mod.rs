//! From an assignment to backends. Nothing here waits, and nothing panics on any message.

mod address;
mod labels;
#[cfg(test)]
mod tests;
mod text;
mod weights;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::Locality;
use envoy_types::pb::envoy::config::endpoint::v3 as pb;
use envoy_types::pb::envoy::config::endpoint::v3::lb_endpoint::HostIdentifier;
use envoy_types::pb::envoy::config::endpoint::v3::locality_lb_endpoints::LbConfig;
use evenkeel::Backend;
use evenkeel::discover::Update;
use evenkeel::http::Address;

pub(crate) use self::text::duration;
pub use self::weights::LocalityWeights;
use self::weights::{Weighed, multiplied};
use crate::policy::Policy;

/// How endpoints become backends.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mapping {
    pub(crate) https: bool,
    pub(crate) locality_weights: LocalityWeights,
}

/// An assignment that can be used.
#[derive(Debug)]
pub(crate) struct Assignment {
    pub(crate) backends: Vec<Backend<Address>>,
    /// Entries, and why they are left out.
    pub(crate) skipped: Vec<(String, String)>,
    pub(crate) policy: Arc<Policy>,
}

impl Assignment {
    pub(crate) fn into_update(self) -> Update<Address> {
        let mut update = Update::all(self.backends);
        for (entry, why) in self.skipped {
            update = update.skip(entry, why);
        }
        update
    }
}

/// The highest priority number that the protocol allows.
const LOWEST_PRIORITY: u32 = 128;

impl Mapping {
    /// Reads an assignment, or says why nothing of it is usable though it has endpoints.
    pub(crate) fn read(self, message: &pb::ClusterLoadAssignment) -> Result<Assignment, String> {
        let mut reading = Reading::default();
        for locality in &message.endpoints {
            reading.locality(locality, self);
        }
        if reading.found.is_empty()
            && let Some((entry, why)) = reading.skipped.first()
        {
            let others = reading.skipped.len() - 1;
            return Err(format!(
                "no endpoint is usable: {entry}: {why}; and {others} others"
            ));
        }
        let (policy, wrong) = message
            .policy
            .as_ref()
            .map(Policy::read)
            .unwrap_or_default();
        let wrong = wrong.into_iter().map(|why| ("policy".to_owned(), why));
        let skipped = reading.skipped.drain(..).chain(wrong).collect();
        Ok(Assignment {
            backends: reading.backends(self),
            skipped,
            policy: Arc::new(policy),
        })
    }
}

/// What has been read of an assignment.
#[derive(Default)]
struct Reading<'a> {
    found: Vec<Found<'a>>,
    skipped: Vec<(String, String)>,
    ids: HashSet<SocketAddr>,
    /// By priority.
    weights: BTreeMap<u32, HashMap<Place<'a>, u32>>,
}

/// Region, zone and part of the zone.
type Place<'a> = [&'a str; 3];

struct Found<'a> {
    priority: u32,
    place: Place<'a>,
    weight: u32,
    backend: Backend<Address>,
}

impl<'a> Reading<'a> {
    fn locality(&mut self, locality: &'a pb::LocalityLbEndpoints, mapping: Mapping) {
        let place = place(locality.locality.as_ref());
        if let Some(why) = trouble(locality) {
            self.skipped.push((name(place), why));
            return;
        }
        if locality.lb_endpoints.is_empty() {
            // Nor does its weight, which may be 0, say anything of endpoints elsewhere.
            return;
        }
        if let Some(weight) = locality.load_balancing_weight {
            let weights = self.weights.entry(locality.priority).or_default();
            weights.insert(place, weight.value);
        }
        for (at, endpoint) in locality.lb_endpoints.iter().enumerate() {
            if let Err(why) = self.endpoint(locality, endpoint, mapping) {
                self.skipped.push((entry(place, at, endpoint), why));
            }
        }
    }

    fn endpoint(
        &mut self,
        locality: &'a pb::LocalityLbEndpoints,
        outer: &pb::LbEndpoint,
        mapping: Mapping,
    ) -> Result<(), String> {
        let endpoint = match &outer.host_identifier {
            Some(HostIdentifier::Endpoint(endpoint)) => endpoint,
            Some(HostIdentifier::EndpointName(name)) => {
                return Err(format!("it is only the name of an endpoint, {name:?}"));
            }
            None => return Err("it is empty".into()),
        };
        let address = address::socket_address(endpoint.address.as_ref())?;
        let weight = outer.load_balancing_weight.map_or(1, |weight| weight.value);
        if weight == 0 {
            return Err("its weight is 0".into());
        }
        if !self.ids.insert(address) {
            return Err("an earlier endpoint has the same address".into());
        }
        let value = value(address, &endpoint.hostname, mapping.https);
        let backend = Backend::new(address.to_string(), value).weight(weight);
        let backend = labels::of_locality(backend, locality);
        self.found.push(Found {
            priority: locality.priority,
            place: place(locality.locality.as_ref()),
            weight,
            backend: labels::of_endpoint(backend, outer, endpoint),
        });
        Ok(())
    }

    fn backends(self, mapping: Mapping) -> Vec<Backend<Address>> {
        if mapping.locality_weights == LocalityWeights::Ignored {
            return self.found.into_iter().map(|found| found.backend).collect();
        }
        let mut tiers: BTreeMap<u32, Vec<Found<'a>>> = BTreeMap::new();
        for found in self.found {
            tiers.entry(found.priority).or_default().push(found);
        }
        let nobody = HashMap::new();
        let mut backends = Vec::new();
        for (priority, tier) in tiers {
            let weighed: Vec<_> = tier
                .iter()
                .map(|found| Weighed {
                    locality: found.place,
                    weight: found.weight,
                })
                .collect();
            let weights = multiplied(&weighed, self.weights.get(&priority).unwrap_or(&nobody));
            backends.extend(tier.into_iter().zip(weights).map(|(found, weight)| {
                let own = found.weight.to_string();
                found.backend.weight(weight).metadata("envoy.weight", own)
            }));
        }
        backends
    }
}

/// Why none of its endpoints can be used.
fn trouble(locality: &pb::LocalityLbEndpoints) -> Option<String> {
    match &locality.lb_config {
        Some(LbConfig::LedsClusterLocalityConfig(_)) => {
            return Some("its endpoints are to be asked for by themselves (LEDS)".into());
        }
        Some(_) => return Some("it has a list of endpoints that nobody implements".into()),
        None => {}
    }
    if locality.lb_endpoints.is_empty() {
        return None;
    }
    if locality.priority > LOWEST_PRIORITY {
        return Some(format!(
            "its priority is {}, above {LOWEST_PRIORITY}",
            locality.priority
        ));
    }
    let weight = locality.load_balancing_weight;
    weight
        .is_some_and(|weight| weight.value == 0)
        .then(|| "its weight is 0".into())
}

fn value(address: SocketAddr, hostname: &str, https: bool) -> Address {
    let mut value = Address::from(address);
    if https {
        // It stays what it is if it could not be read, which a socket address can.
        value = format!("https://{address}").parse().unwrap_or(value);
    }
    if hostname.is_empty() {
        return value;
    }
    value.with_server_name(hostname)
}

fn place(locality: Option<&Locality>) -> Place<'_> {
    locality.map_or([""; 3], |place| {
        [&place.region, &place.zone, &place.sub_zone]
    })
}

fn name(place: Place<'_>) -> String {
    let parts: Vec<_> = place.into_iter().filter(|part| !part.is_empty()).collect();
    match &parts[..] {
        [] => "the locality without a name".into(),
        parts => format!("locality {}", parts.join("/")),
    }
}

/// What an entry is called that is no good.
fn entry(place: Place<'_>, at: usize, outer: &pb::LbEndpoint) -> String {
    match &outer.host_identifier {
        Some(HostIdentifier::Endpoint(pb::Endpoint {
            address: Some(address),
            ..
        })) => address::written(address),
        _ => format!("endpoint {at} of {}", name(place)),
    }
}
