use std::collections::HashSet;

use proptest::prelude::*;
use prost::Message;

use super::*;

/// Everything is odd in it now and then.
fn any_assignment() -> impl Strategy<Value = ClusterLoadAssignment> {
    let number = || prop_oneof![Just(0u32), Just(1), 0..200u32, Just(u32::MAX), any::<u32>()];
    let weight = move || prop::option::of(number().prop_map(|value| UInt32Value { value }));
    let text = || prop_oneof!["[a-c]{0,2}", "10\\.0\\.0\\.[1-3]", Just("::1".to_owned())];
    let address = move || (text(), number(), any::<bool>(), any::<i32>());
    let address = move || {
        address().prop_map(|(text, port, named, protocol)| SocketAddress {
            port_specifier: Some(if named && port % 8 == 0 {
                PortSpecifier::NamedPort("http".into())
            } else {
                PortSpecifier::PortValue(port)
            }),
            protocol: protocol % 3,
            ..socket(&text, port)
        })
    };
    let endpoint = (address(), weight(), any::<i32>(), text()).prop_map(
        |(address, load_balancing_weight, health, hostname)| LbEndpoint {
            load_balancing_weight,
            health_status: health % 8,
            host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
                address: Some(at(address)),
                hostname,
                ..Endpoint::default()
            })),
            ..LbEndpoint::default()
        },
    );
    let endpoints = prop::collection::vec(endpoint, 0..6);
    let locality = (text(), number(), weight(), endpoints).prop_map(
        |(zone, priority, load_balancing_weight, endpoints)| LocalityLbEndpoints {
            locality: Some(Locality {
                zone,
                ..Locality::default()
            }),
            priority: if priority < 200 {
                priority % 3
            } else {
                priority
            },
            load_balancing_weight,
            ..locality(endpoints)
        },
    );
    prop::collection::vec(locality, 0..6).prop_map(all)
}

fn check(message: &ClusterLoadAssignment) -> Result<(), TestCaseError> {
    let given: usize = message.endpoints.iter().map(|l| l.lb_endpoints.len()).sum();
    for locality_weights in [LocalityWeights::Ignored, LocalityWeights::Multiplied] {
        let mapping = Mapping {
            https: true,
            locality_weights,
        };
        let Ok(assignment) = mapping.read(message) else {
            prop_assert!(given > 0 || !message.endpoints.is_empty());
            continue;
        };
        let ids: HashSet<_> = assignment.backends.iter().map(Backend::id).collect();
        prop_assert_eq!(ids.len(), assignment.backends.len());
        prop_assert!(assignment.backends.len() <= given);
        if assignment.skipped.is_empty() {
            prop_assert_eq!(assignment.backends.len(), given);
        }
        let backends = info(assignment.backends);
        if locality_weights == LocalityWeights::Ignored {
            prop_assert!(backends.iter().all(|backend| backend.weight() > 0));
        }
        // Of no priority all weights are lost.
        for backend in &backends {
            let tier = backends.iter();
            let mut tier = tier.filter(|other| other.priority() == backend.priority());
            prop_assert!(tier.any(|other| other.weight() > 0));
        }
    }
    Ok(())
}

proptest! {
    // A failure prints the case.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn any_assignment_is_read_or_refused(message in any_assignment()) {
        check(&message)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        message in any_assignment(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = message.encode_to_vec();
        if !bytes.is_empty() {
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if cut.index(4) == 0 {
                bytes.truncate(cut.index(bytes.len()));
            }
        }
        if let Ok(message) = ClusterLoadAssignment::decode(&*bytes) {
            check(&message)?;
        }
    }
}
