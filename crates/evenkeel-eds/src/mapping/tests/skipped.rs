use super::*;

/// What is wrong with one endpoint beside a good one.
fn problem(bad: LbEndpoint) -> (String, String) {
    let mut assignment = read(&all([locality([bad, endpoint(80)])]));
    assert_eq!(assignment.backends.len(), 1);
    assert_eq!(assignment.skipped.len(), 1);
    assignment.skipped.remove(0)
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
