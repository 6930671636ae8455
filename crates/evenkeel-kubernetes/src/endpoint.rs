use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use evenkeel::Backend;
use evenkeel::backend::Hint;
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};

use crate::IpFamily;
use crate::port::Port;

/// The annotation of a slice that says the weight of its endpoints.
const WEIGHT: &str = "evenkeel.io/weight";

/// What of a slice is of use.
#[derive(Debug, Default)]
pub(crate) struct Slice {
    pub(crate) members: Vec<Member>,
    pub(crate) skipped: Vec<(String, String)>,
}

/// An endpoint that can be balanced over.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) address: SocketAddr,
    pub(crate) condition: Condition,
    pub(crate) for_zones: BTreeSet<String>,
    weight: u32,
    zone: Option<String>,
    node: Option<String>,
    pod: Option<String>,
}

/// The better, the greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Condition {
    NotReady,
    /// About to leave, and no longer able to answer.
    Terminating,
    /// About to leave, and still able to answer.
    ServingTerminating,
    Ready,
}

impl Slice {
    pub(crate) fn new(slice: EndpointSlice, port: &Port, family: IpFamily) -> Self {
        let mut read = Self::default();
        let name = slice.metadata.name.unwrap_or_default();
        let is_v6 = match (slice.address_type.as_str(), family) {
            ("IPv4", IpFamily::Any | IpFamily::V4) => false,
            ("IPv6", IpFamily::Any | IpFamily::V6) => true,
            // It is wanted that these are not there.
            ("IPv4" | "IPv6", _) => return read,
            (other, _) => {
                let why = format!("its addresses are {other:?}, which are not IP addresses");
                read.skip(name, why);
                return read;
            }
        };
        let endpoints = slice.endpoints.unwrap_or_default();
        let port = match port.among(&slice.ports.unwrap_or_default()) {
            Ok(port) => port,
            // A Service without pods that are ready can have a slice without ports.
            Err(_) if endpoints.is_empty() => return read,
            Err(why) => {
                read.skip(name, why);
                return read;
            }
        };
        let annotations = slice.metadata.annotations.unwrap_or_default();
        let weight = annotations.get(WEIGHT).map(|weight| weight.parse::<u32>());
        if let Some(Err(error)) = &weight {
            let given = annotations
                .get(WEIGHT)
                .map(String::as_str)
                .unwrap_or_default();
            let why = format!("weight {given:?}: {error}; its endpoints have the weight 1");
            read.skip(format!("{name}: {WEIGHT}"), why);
        }
        let weight = weight.and_then(Result::ok).unwrap_or(1);
        for endpoint in endpoints {
            match Member::new(endpoint, port, is_v6, weight) {
                Ok(member) => read.members.push(member),
                Err((address, why)) => read.skip(format!("{name}: {address}"), why),
            }
        }
        read
    }

    fn skip(&mut self, entry: String, why: String) {
        self.skipped.push((entry, why));
    }
}

impl Member {
    fn new(
        endpoint: Endpoint,
        port: u16,
        is_v6: bool,
        weight: u32,
    ) -> Result<Self, (String, String)> {
        // Nobody has said what further ones would mean.
        let address = endpoint.addresses.into_iter().next().unwrap_or_default();
        let ip = match address.parse::<IpAddr>() {
            Ok(ip) if ip.is_ipv6() == is_v6 => ip,
            Ok(_) => return Err((address, "it is of another family than its slice".to_owned())),
            Err(error) => return Err((address, error.to_string())),
        };
        let conditions = endpoint.conditions.unwrap_or_default();
        let ready = conditions.ready.unwrap_or(true);
        let serving = conditions.serving.unwrap_or(true);
        let terminating = conditions.terminating.unwrap_or(false);
        let pod = endpoint
            .target_ref
            .filter(|target| target.kind.as_deref() == Some("Pod"));
        let for_zones = endpoint.hints.and_then(|hints| hints.for_zones);
        Ok(Self {
            address: SocketAddr::new(ip, port),
            condition: match (ready, terminating) {
                (true, _) => Condition::Ready,
                (false, true) if serving => Condition::ServingTerminating,
                (false, true) => Condition::Terminating,
                (false, false) => Condition::NotReady,
            },
            for_zones: for_zones
                .into_iter()
                .flatten()
                .map(|zone| zone.name)
                .collect(),
            weight,
            zone: endpoint.zone.filter(|zone| !zone.is_empty()),
            node: endpoint.node_name,
            pod: pod.and_then(|pod| {
                let namespace = pod.namespace.map(|namespace| namespace + "/");
                Some(namespace.unwrap_or_default() + &pod.name?)
            }),
        })
    }

    /// With `last_resort`, what is about to leave and still answers can be used, after all others.
    pub(crate) fn backend(self, last_resort: bool) -> Backend<SocketAddr> {
        let hint = match self.condition {
            Condition::Ready => Hint::Healthy,
            Condition::ServingTerminating if last_resort => Hint::Degraded,
            Condition::ServingTerminating | Condition::Terminating => Hint::Draining,
            Condition::NotReady => Hint::Unhealthy,
        };
        let mut backend = Backend::new(self.address.to_string(), self.address)
            .weight(self.weight)
            .hint(hint);
        if let Some(zone) = self.zone {
            backend = backend.zone(zone);
        }
        let hinted = self.for_zones.into_iter().collect::<Vec<_>>().join(",");
        let metadata = [
            ("kubernetes.pod", self.pod),
            ("kubernetes.node", self.node),
            (
                "kubernetes.hints.zones",
                Some(hinted).filter(|zones| !zones.is_empty()),
            ),
        ];
        metadata
            .into_iter()
            .fold(backend, |backend, (key, value)| match value {
                Some(value) => backend.metadata(key, value),
                None => backend,
            })
    }
}
