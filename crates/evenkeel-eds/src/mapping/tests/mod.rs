mod properties;
mod skipped;

use std::collections::HashMap;

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

use super::*;

fn socket(address: &str, port: u32) -> SocketAddress {
    SocketAddress {
        address: address.into(),
        port_specifier: Some(PortSpecifier::PortValue(port)),
        ..SocketAddress::default()
    }
}

fn at(socket: SocketAddress) -> core::Address {
    let address = Some(AddressKind::SocketAddress(socket));
    core::Address { address }
}

fn of(address: impl Into<Option<core::Address>>) -> LbEndpoint {
    LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: address.into(),
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
        address: Some(at(socket("2001:db8::0001", 8443))),
        hostname: "shop.example".into(),
        observability_name: "shop-1".into(),
        additional_addresses: vec![AdditionalAddress {
            address: Some(at(socket("10.0.0.2", 8443))),
        }],
        health_check_config: Some(HealthCheckConfig {
            port_value: 9000,
            hostname: "health.example".into(),
            address: Some(at(socket("10.0.0.3", 9001))),
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
fn a_locality_without_endpoints_takes_no_weight_from_another_of_its_name() {
    let mapping = Mapping {
        locality_weights: LocalityWeights::Multiplied,
        ..Mapping::default()
    };
    let empty = LocalityLbEndpoints {
        load_balancing_weight: Some(UInt32Value { value: 0 }),
        ..locality([])
    };
    let message = all([empty, locality([weighted(80, 3)])]);
    let backends = info(mapping.read(&message).unwrap().backends);
    assert_eq!(backends[0].weight(), 3);
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
