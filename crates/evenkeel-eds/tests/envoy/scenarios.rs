//! Assignments, and what Envoy makes of them.

use envoy_types::pb::envoy::config::core::v3::HealthStatus::{
    Degraded, Draining, Healthy, Timeout, Unhealthy,
};
use envoy_types::pb::envoy::config::endpoint::v3::{LbEndpoint, LocalityLbEndpoints};
use envoy_types::pb::google::protobuf::UInt32Value;

use crate::manager::{weighted, with_health, zone};

pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) endpoints: Vec<LocalityLbEndpoints>,
    /// By backend, in percent, as Envoy's documentation has it; `None` where it says nothing.
    pub(crate) expected: Option<[f64; 6]>,
}

pub(crate) fn scenarios(at: &[String; 6]) -> Vec<Scenario> {
    let mut all = by_weight(at);
    all.extend(by_health(at));
    all
}

fn by_weight(at: &[String; 6]) -> Vec<Scenario> {
    let weighs = |place: usize, weight| weighted(&at[place], weight);
    let locality = |name, weight, endpoints: Vec<LbEndpoint>| LocalityLbEndpoints {
        load_balancing_weight: Some(UInt32Value { value: weight }),
        ..zone(name, 0, endpoints)
    };
    vec![
        Scenario {
            name: "weights",
            endpoints: vec![zone("a", 0, [weighs(0, 1), weighs(1, 2), weighs(2, 5)])],
            expected: Some([12.5, 25.0, 62.5, 0.0, 0.0, 0.0]),
        },
        Scenario {
            name: "two priorities, all of them healthy",
            endpoints: vec![
                zone("a", 0, [weighs(0, 1), weighs(1, 1)]),
                zone("a", 1, [weighs(2, 1)]),
            ],
            expected: Some([50.0, 50.0, 0.0, 0.0, 0.0, 0.0]),
        },
        Scenario {
            name: "localities with weights",
            endpoints: vec![
                locality("a", 3, vec![weighs(0, 1), weighs(1, 2)]),
                locality("b", 1, vec![weighs(2, 7), weighs(3, 1), weighs(4, 2)]),
            ],
            expected: None,
        },
        Scenario {
            name: "an endpoint moves from one priority to another, others leave",
            endpoints: vec![zone("a", 0, [weighs(4, 1)]), zone("b", 1, [weighs(0, 1)])],
            expected: Some([0.0, 0.0, 0.0, 0.0, 100.0, 0.0]),
        },
    ]
}

fn by_health(at: &[String; 6]) -> Vec<Scenario> {
    let is = |place: usize, health| with_health(&at[place], health);
    let weighs = |place: usize, weight| weighted(&at[place], weight);
    vec![
        Scenario {
            name: "half of the first priority is not healthy",
            endpoints: vec![
                zone("a", 0, [is(0, Healthy), is(1, Unhealthy)]),
                zone("a", 1, [weighs(2, 1), weighs(3, 2)]),
            ],
            expected: Some([70.0, 0.0, 10.0, 20.0, 0.0, 0.0]),
        },
        Scenario {
            name: "nobody of the first priority is healthy, and the second does not exist",
            endpoints: vec![
                zone("a", 0, [is(0, Unhealthy), is(1, Timeout)]),
                zone("a", 2, [weighs(2, 1), weighs(3, 1)]),
            ],
            expected: Some([0.0, 0.0, 50.0, 50.0, 0.0, 0.0]),
        },
        Scenario {
            name: "degraded beside healthy",
            endpoints: vec![zone(
                "a",
                0,
                [is(0, Healthy), is(1, Healthy), is(2, Degraded)],
            )],
            expected: Some([46.5, 46.5, 7.0, 0.0, 0.0, 0.0]),
        },
        Scenario {
            name: "degraded in the first of two priorities",
            endpoints: vec![
                zone("a", 0, [is(0, Degraded), is(1, Degraded)]),
                zone("a", 1, [is(2, Healthy), is(3, Unhealthy)]),
            ],
            expected: Some([15.0, 15.0, 70.0, 0.0, 0.0, 0.0]),
        },
        Scenario {
            name: "nearly nobody is healthy, so all are used",
            endpoints: vec![zone(
                "a",
                0,
                [
                    is(0, Healthy),
                    is(1, Unhealthy),
                    is(2, Timeout),
                    is(3, Unhealthy),
                ],
            )],
            expected: Some([25.0, 25.0, 25.0, 25.0, 0.0, 0.0]),
        },
        Scenario {
            name: "one drains",
            endpoints: vec![zone(
                "a",
                0,
                [is(0, Healthy), is(1, Healthy), is(2, Draining)],
            )],
            expected: Some([50.0, 50.0, 0.0, 0.0, 0.0, 0.0]),
        },
        Scenario {
            name: "one drains, before a second priority",
            endpoints: vec![
                zone("a", 0, [is(0, Healthy), is(1, Draining)]),
                zone("a", 1, [is(2, Healthy)]),
            ],
            expected: Some([100.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        },
        Scenario {
            name: "nearly nobody is healthy, and some drain",
            endpoints: vec![zone(
                "a",
                0,
                [
                    is(0, Healthy),
                    is(1, Draining),
                    is(2, Draining),
                    is(3, Unhealthy),
                ],
            )],
            expected: Some([100.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        },
    ]
}
