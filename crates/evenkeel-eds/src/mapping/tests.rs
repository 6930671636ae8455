use std::collections::{HashMap, HashSet};

use envoy_types::pb::envoy::config::core::v3 as core;
use envoy_types::pb::envoy::config::core::v3::address::Address as AddressKind;
use envoy_types::pb::envoy::config::core::v3::socket_address::{PortSpecifier, Protocol};
use envoy_types::pb::envoy::config::core::v3::{HealthStatus, Pipe, SocketAddress};
use envoy_types::pb::envoy::config::endpoint::v3::cluster_load_assignment as cla;
use envoy_types::pb::envoy::config::endpoint::v3::endpoint::{
    AdditionalAddress, HealthCheckConfig,
};
use envoy_types::pb::envoy::config::endpoint::v3::{
    ClusterLoadAssignment, Endpoint, LbEndpoint, LedsClusterLocalityConfig, LocalityLbEndpoints,
};
use envoy_types::pb::envoy::r#type::v3::FractionalPercent;
use envoy_types::pb::google::protobuf::{
    Any, Duration as PbDuration, ListValue, Struct, UInt32Value, Value, value::Kind,
};
use evenkeel::Pool;
use evenkeel::backend::{BackendInfo, State};
use proptest::prelude::*;
use prost::Message;

use super::*;

fn socket(address: &str, port: u32) -> SocketAddress {
    SocketAddress {
        address: address.into(),
        port_specifier: Some(PortSpecifier::PortValue(port)),
        ..SocketAddress::default()
    }
}

fn at(socket: SocketAddress) -> Option<core::Address> {
    let address = Some(AddressKind::SocketAddress(socket));
    Some(core::Address { address })
}

fn of(address: Option<core::Address>) -> LbEndpoint {
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address,
            ..Endpoint::default()
        })),
        ..LbEndpoint::default()
    }
}

fn endpoint(port: u32) -> LbEndpoint {
    of(at(socket("10.0.0.1", port)))
}

fn weighted(port: u32, weight: u32) -> LbEndpoint {
    LbEndpoint {
        load_balancing_weight: Some(UInt32Value { value: weight }),
        ..endpoint(port)
    }
}

fn locality(endpoints: impl IntoIterator<Item = LbEndpoint>) -> LocalityLbEndpoints {
    LocalityLbEndpoints {
        lb_endpoints: endpoints.into_iter().collect(),
        ..LocalityLbEndpoints::default()
    }
}

fn all(localities: impl IntoIterator<Item = LocalityLbEndpoints>) -> ClusterLoadAssignment {
    ClusterLoadAssignment {
        cluster_name: "shop".into(),
        endpoints: localities.into_iter().collect(),
        ..ClusterLoadAssignment::default()
    }
}

fn read(message: &ClusterLoadAssignment) -> Assignment {
    Mapping::default().read(message).unwrap()
}

/// As a pool has it.
fn info(backends: Vec<Backend<Address>>) -> Vec<BackendInfo> {
    let pool: Pool<Address> = backends.into_iter().collect();
    pool.list()
}

/// What is wrong with one endpoint beside a good one.
fn problem(bad: LbEndpoint) -> (String, String) {
    let mut assignment = read(&all([locality([bad, endpoint(80)])]));
    assert_eq!(assignment.backends.len(), 1);
    assert_eq!(assignment.skipped.len(), 1);
    assignment.skipped.remove(0)
}

#[test]
fn what_an_endpoint_says_is_there_in_the_backend() {
    let value = |kind| Value { kind: Some(kind) };
    let text = |text: &str| value(Kind::StringValue(text.into()));
    let fields = HashMap::from([
        ("version".to_owned(), text("v2")),
        ("canary".to_owned(), value(Kind::BoolValue(true))),
        ("cores".to_owned(), value(Kind::NumberValue(16.0))),
        ("load".to_owned(), value(Kind::NumberValue(0.5))),
        ("not".to_owned(), value(Kind::NumberValue(f64::NAN))),
        ("none".to_owned(), Value { kind: None }),
        (
            "list".to_owned(),
            value(Kind::ListValue(ListValue {
                values: vec![text("a \"b\""), value(Kind::NumberValue(-3.0))],
            })),
        ),
    ]);
    let metadata = core::Metadata {
        filter_metadata: HashMap::from([("envoy.lb".to_owned(), Struct { fields })]),
        typed_filter_metadata: HashMap::from([(
            "typed".to_owned(),
            Any {
                type_url: "type.example/T".into(),
                value: vec![1],
            },
        )]),
    };
    let inner = Endpoint {
        address: at(socket("2001:db8::0001", 8443)),
        hostname: "shop.example".into(),
        observability_name: "shop-1".into(),
        additional_addresses: vec![AdditionalAddress {
            address: at(socket("10.0.0.2", 8443)),
        }],
        health_check_config: Some(HealthCheckConfig {
            port_value: 9000,
            hostname: "health.example".into(),
            address: at(socket("10.0.0.3", 9001)),
            disable_active_health_check: true,
        }),
    };
    let outer = LbEndpoint {
        health_status: HealthStatus::Timeout as i32,
        metadata: Some(metadata.clone()),
        load_balancing_weight: Some(UInt32Value { value: 7 }),
        host_identifier: Some(HostIdentifier::Endpoint(inner)),
    };
    let locality = LocalityLbEndpoints {
        locality: Some(Locality {
            region: "eu".into(),
            zone: "eu-1a".into(),
            sub_zone: "rack-7".into(),
        }),
        metadata: Some(metadata),
        load_balancing_weight: Some(UInt32Value { value: 30 }),
        priority: 2,
        proximity: Some(UInt32Value { value: 4 }),
        ..locality([outer])
    };
    let mapping = Mapping {
        https: true,
        ..Mapping::default()
    };
    let assignment = mapping.read(&all([locality])).unwrap();
    assert!(assignment.skipped.is_empty());
    let address = assignment.backends[0].value();
    assert_eq!(address.to_string(), "https://[2001:db8::1]:8443");
    assert_eq!(address.server_name(), Some("shop.example"));

    let backend = info(assignment.backends).remove(0);
    assert_eq!(backend.id(), "[2001:db8::1]:8443");
    assert_eq!(backend.state(), State::Unhealthy);
    assert_eq!((backend.weight(), backend.priority()), (7, 2));
    assert_eq!(backend.zone(), Some("eu-1a"));
    let expected = [
        ("envoy.region", "eu"),
        ("envoy.sub_zone", "rack-7"),
        ("envoy.locality_weight", "30"),
        ("envoy.proximity", "4"),
        ("envoy.health_status", "TIMEOUT"),
        ("envoy.hostname", "shop.example"),
        ("envoy.observability_name", "shop-1"),
        ("envoy.additional_addresses", "10.0.0.2:8443"),
        ("envoy.health_check.port", "9000"),
        ("envoy.health_check.hostname", "health.example"),
        ("envoy.health_check.address", "10.0.0.3:9001"),
        ("envoy.health_check.disabled", "true"),
        ("envoy.lb/version", "v2"),
        ("envoy.lb/canary", "true"),
        ("envoy.lb/cores", "16"),
        ("envoy.lb/load", "0.5"),
        ("envoy.lb/not", "\"NaN\""),
        ("envoy.lb/none", "null"),
        ("envoy.lb/list", "[\"a \\\"b\\\"\",-3]"),
        ("typed/@type", "type.example/T"),
        ("envoy.locality/envoy.lb/version", "v2"),
        ("envoy.locality/typed/@type", "type.example/T"),
    ];
    for (key, value) in expected {
        assert_eq!(backend.metadata(key), Some(value), "{key}");
    }
}

#[test]
fn an_endpoint_that_says_nothing_has_weight_1_priority_0_and_no_labels() {
    let backend = info(read(&all([locality([endpoint(80)])])).backends).remove(0);
    assert_eq!((backend.weight(), backend.priority()), (1, 0));
    assert_eq!(backend.state(), State::Healthy);
    assert_eq!(backend.zone(), None);
    assert_eq!(backend.metadata("envoy.health_status"), None);
}

#[test]
fn a_status_of_the_future_and_a_protocol_are_kept_as_they_are() {
    let mut status = endpoint(80);
    status.health_status = 77;
    let udp = of(at(SocketAddress {
        protocol: Protocol::Udp as i32,
        ..socket("10.0.0.1", 81)
    }));
    let backends = info(read(&all([locality([status, udp])])).backends);
    assert_eq!(backends[0].state(), State::Healthy);
    assert_eq!(backends[0].metadata("envoy.health_status"), Some("77"));
    assert_eq!(backends[1].metadata("envoy.protocol"), Some("UDP"));
}

#[test]
fn what_cannot_be_connected_to_is_left_out_with_the_reason() {
    let named = SocketAddress {
        port_specifier: Some(PortSpecifier::NamedPort("http".into())),
        ..socket("10.0.0.1", 0)
    };
    let no_port = SocketAddress {
        port_specifier: None,
        ..socket("10.0.0.1", 0)
    };
    let resolver = SocketAddress {
        resolver_name: "mine".into(),
        ..socket("10.0.0.1", 80)
    };
    let namespace = SocketAddress {
        network_namespace_filepath: "/run/netns/x".into(),
        ..socket("10.0.0.1", 81)
    };
    let pipe = Some(core::Address {
        address: Some(AddressKind::Pipe(Pipe {
            path: "/run/x".into(),
            mode: 0,
        })),
    });
    let by_name = LbEndpoint {
        host_identifier: Some(HostIdentifier::EndpointName("x".into())),
        ..LbEndpoint::default()
    };
    let nameless = "endpoint 0 of the locality without a name";
    let cases = [
        (
            of(at(named)),
            "10.0.0.1:http",
            "its port is a name, \"http\"",
        ),
        (of(at(no_port)), "10.0.0.1", "it has no port"),
        (
            of(at(resolver)),
            "10.0.0.1:80",
            "it needs the resolver \"mine\"",
        ),
        (
            of(at(namespace)),
            "10.0.0.1:81",
            "it is in the network namespace \"/run/netns/x\"",
        ),
        (of(pipe), "pipe /run/x", "it is a pipe, \"/run/x\""),
        (
            of(at(socket("localhost", 80))),
            "localhost:80",
            "\"localhost\" is not an IP address",
        ),
        (of(at(socket("", 80))), ":80", "\"\" is not an IP address"),
        (endpoint(0), "10.0.0.1:0", "its port is 0"),
        (endpoint(65_536), "10.0.0.1:65536", "its port is 65536"),
        (of(None), nameless, "it has no address"),
        (
            by_name,
            nameless,
            "it is only the name of an endpoint, \"x\"",
        ),
        (LbEndpoint::default(), nameless, "it is empty"),
        (weighted(81, 0), "10.0.0.1:81", "its weight is 0"),
    ];
    for (bad, entry, why) in cases {
        assert_eq!(problem(bad), (entry.to_owned(), why.to_owned()));
    }
}

#[test]
fn of_endpoints_with_one_address_the_first_counts_as_in_envoy() {
    let assignment = read(&all([
        locality([weighted(80, 3)]),
        LocalityLbEndpoints {
            priority: 1,
            ..locality([weighted(80, 5)])
        },
    ]));
    assert_eq!(assignment.skipped.len(), 1);
    let backends = info(assignment.backends);
    assert_eq!((backends[0].weight(), backends[0].priority()), (3, 0));
}

#[test]
fn a_locality_that_is_no_good_is_left_out_as_a_whole() {
    let named = |mut locality: LocalityLbEndpoints| {
        locality.locality = Some(Locality {
            region: "eu".into(),
            zone: String::new(),
            sub_zone: "s".into(),
        });
        locality
    };
    let too_low = LocalityLbEndpoints {
        priority: 129,
        ..locality([endpoint(81)])
    };
    let no_weight = LocalityLbEndpoints {
        load_balancing_weight: Some(UInt32Value { value: 0 }),
        ..locality([endpoint(81)])
    };
    let leds = LocalityLbEndpoints {
        lb_config: Some(LbConfig::LedsClusterLocalityConfig(
            LedsClusterLocalityConfig::default(),
        )),
        ..LocalityLbEndpoints::default()
    };
    for (bad, why) in [
        (too_low, "its priority is 129, above 128"),
        (no_weight, "its weight is 0"),
        (
            leds,
            "its endpoints are to be asked for by themselves (LEDS)",
        ),
    ] {
        let assignment = read(&all([named(bad), locality([endpoint(80)])]));
        assert_eq!(assignment.backends.len(), 1);
        let expected = ("locality eu/s".to_owned(), why.to_owned());
        assert_eq!(assignment.skipped, [expected]);
    }
}

#[test]
fn priorities_may_have_gaps_as_in_envoy() {
    let tier = |priority, port| LocalityLbEndpoints {
        priority,
        ..locality([endpoint(port)])
    };
    let backends = info(read(&all([tier(0, 80), tier(128, 81)])).backends);
    assert_eq!(backends[1].priority(), 128);
}

#[test]
fn nothing_at_all_is_an_empty_set_and_nothing_usable_is_an_error() {
    assert!(read(&all([])).backends.is_empty());
    assert!(read(&all([locality([])])).backends.is_empty());
    let unusable = all([locality([weighted(80, 0), weighted(81, 0)])]);
    assert_eq!(
        Mapping::default().read(&unusable).unwrap_err(),
        "no endpoint is usable: 10.0.0.1:80: its weight is 0; and 1 others"
    );
}

#[test]
fn weights_of_localities_count_where_that_is_wanted() {
    let zone = |zone: &str, weight, priority, endpoints: Vec<LbEndpoint>| LocalityLbEndpoints {
        locality: Some(Locality {
            zone: zone.into(),
            ..Locality::default()
        }),
        load_balancing_weight: Some(UInt32Value { value: weight }),
        priority,
        ..locality(endpoints)
    };
    let message = all([
        zone("a", 3, 0, vec![weighted(80, 1), weighted(81, 2)]),
        zone("b", 1, 0, vec![weighted(82, 50)]),
        zone("b", 9, 1, vec![weighted(83, 4), weighted(84, 6)]),
    ]);
    let weights = |locality_weights| {
        let mapping = Mapping {
            locality_weights,
            ..Mapping::default()
        };
        let backends = info(mapping.read(&message).unwrap().backends);
        backends.iter().map(BackendInfo::weight).collect::<Vec<_>>()
    };
    assert_eq!(weights(LocalityWeights::Ignored), [1, 2, 50, 4, 6]);
    assert_eq!(weights(LocalityWeights::Multiplied), [1, 2, 1, 2, 3]);
}

#[test]
fn what_is_said_of_the_whole_can_be_read_and_what_of_it_is_wrong_is_told() {
    let drop = |category: &str, numerator, denominator| cla::policy::DropOverload {
        category: category.into(),
        drop_percentage: Some(FractionalPercent {
            numerator,
            denominator,
        }),
    };
    let mut message = all([locality([endpoint(80)])]);
    message.policy = Some(cla::Policy {
        drop_overloads: vec![
            drop("lb", 25, 0),
            drop("throttle", 25, 2),
            drop("all", 200, 0),
            drop("", 1, 0),
            drop("odd", 1, 9),
        ],
        overprovisioning_factor: Some(UInt32Value { value: 0 }),
        endpoint_stale_after: Some(PbDuration {
            seconds: -1,
            nanos: 0,
        }),
        weighted_priority_health: true,
    });
    let assignment = read(&message);
    let drops: Vec<_> = assignment
        .policy
        .drop_overloads()
        .iter()
        .map(|drop| (drop.category(), drop.share()))
        .collect();
    assert_eq!(drops, [("lb", 0.25), ("throttle", 0.000_025), ("all", 1.0)]);
    assert!(assignment.policy.weighted_priority_health());
    assert_eq!(assignment.policy.overprovisioning_factor(), None);
    assert_eq!(assignment.policy.endpoint_stale_after(), None);
    assert_eq!(assignment.skipped.len(), 4);
    assert!(
        assignment
            .skipped
            .iter()
            .all(|(entry, _)| entry == "policy")
    );
}

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
                address: at(address),
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
