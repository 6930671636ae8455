//! What becomes of endpoints.

use evenkeel::backend::{BackendInfo, State};
use evenkeel_kubernetes::{EndpointSlices, IpFamily};
use serde_json::{Value, json};

use crate::api::{Api, endpoint, leaving, ready};
use crate::{follow, slice, source, until, until_ids};

#[tokio::test(start_paused = true)]
async fn endpoints_are_backends_with_all_that_is_known_of_them() {
    let api = Api::new();
    let mut hinted = ready("10.0.0.1");
    hinted["hints"] = json!({"forZones": [{"name": "zone-b"}, {"name": "zone-a"}]});
    let mut said = slice("web-1", json!([hinted]));
    said["metadata"]["annotations"] = json!({"evenkeel.io/weight": "3"});
    api.put(said);
    let (pool, _feeding) = follow(source(&api).port("http"));
    until_ids(&pool, &["10.0.0.1:80"]).await;
    let backend = pool.get("10.0.0.1:80").unwrap();
    assert_eq!((backend.weight(), backend.zone()), (3, Some("zone-a")));
    assert_eq!(
        backend.metadata("kubernetes.pod"),
        Some("shop/pod-10-0-0-1")
    );
    assert_eq!(backend.metadata("kubernetes.node"), Some("node-1"));
    assert_eq!(
        backend.metadata("kubernetes.hints.zones"),
        Some("zone-a,zone-b")
    );
    let asked = &api.requests()[0];
    assert!(
        asked.starts_with("/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices?"),
        "{asked}"
    );
    assert!(
        asked.contains("labelSelector=kubernetes.io%2Fservice-name%3Dweb"),
        "{asked}"
    );
}

#[tokio::test(start_paused = true)]
async fn conditions_become_states() {
    let api = Api::new();
    let mut nothing_said = ready("10.0.0.1");
    nothing_said.as_object_mut().unwrap().remove("conditions");
    api.put(slice(
        "web-1",
        json!([
            nothing_said,
            endpoint("10.0.0.2", false, true, true),
            endpoint("10.0.0.3", false, false, true),
            endpoint("10.0.0.4", false, false, false),
            // Its Service publishes what is not ready.
            endpoint("10.0.0.5", true, true, true),
        ]),
    ));
    let (pool, _feeding) = follow(source(&api));
    until("all", || pool.len() == 5).await;
    let states = || {
        pool.list()
            .iter()
            .map(BackendInfo::state)
            .collect::<Vec<_>>()
    };
    let (healthy, draining) = (State::Healthy, State::Draining);
    assert_eq!(
        states(),
        [healthy, draining, draining, State::Unhealthy, healthy]
    );

    // When none is ready, those that can still answer have to.
    api.put(slice(
        "web-1",
        json!([
            leaving("10.0.0.2"),
            endpoint("10.0.0.3", false, false, true)
        ]),
    ));
    until_ids(&pool, &["10.0.0.2:80", "10.0.0.3:80"]).await;
    assert_eq!(states(), [State::Degraded, draining]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_good_is_skipped_and_hides_nothing() {
    let api = Api::new();
    let changed = |name: &str, change: fn(&mut Value)| {
        let mut changed = slice(name, json!([ready("10.9.9.9")]));
        change(&mut changed);
        api.put(changed);
    };
    changed("fqdn", |slice| slice["addressType"] = "FQDN".into());
    changed("no-ports", |slice| slice["ports"] = json!([]));
    changed("no-number", |slice| {
        slice["ports"] = json!([{"name": "http"}]);
    });
    changed("zero", |slice| {
        slice["ports"] = json!([{"name": "http", "port": 0}]);
    });
    changed("other-port", |slice| {
        slice["ports"] = json!([{"name": "admin", "port": 1}]);
    });
    changed("family", |slice| slice["addressType"] = "IPv6".into());
    let mut odd = slice(
        "odd",
        json!([ready("no-ip"), ready("10.0.0.1"), {"addresses": []}]),
    );
    odd["metadata"]["annotations"] = json!({"evenkeel.io/weight": "-1"});
    api.put(odd);
    // It has nobody, so that it does not matter that it has no port.
    api.put(json!({"metadata": {"name": "nobody"}, "addressType": "IPv4", "endpoints": null}));

    let source = source(&api).port("http");
    let (pool, _feeding) = follow(source);
    let mut events = pool.events();
    until_ids(&pool, &["10.0.0.1:80"]).await;
    assert_eq!(pool.get("10.0.0.1:80").unwrap().weight(), 1);
    let events: Vec<_> = std::iter::from_fn(|| events.try_next())
        .map(|event| event.to_string())
        .filter(|event| event.contains("skipped"))
        .collect();
    for part in [
        "fqdn skipped: its addresses are \"FQDN\"",
        "no-ports skipped: it has no TCP port \"http\"",
        "no-number skipped: its TCP port \"http\" has no number",
        "zero skipped: its port 0",
        "other-port skipped: it has no TCP port",
        "family: 10.9.9.9 skipped: it is of another family",
        "odd: no-ip skipped: invalid IP address",
        "odd: evenkeel.io/weight skipped: weight \"-1\"",
    ] {
        assert!(
            events.iter().any(|event| event.contains(part)),
            "{part} in {events:#?}"
        );
    }
    assert_eq!(events.len(), 9);
    assert_eq!(pool.status().sources()[0].skipped(), 9);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_in_several_slices_is_one_backend_as_good_as_the_best() {
    let api = Api::new();
    api.put(slice(
        "web-1",
        json!([ready("10.0.0.1"), leaving("10.0.0.2")]),
    ));
    api.put(slice(
        "web-2",
        json!([leaving("10.0.0.1"), ready("10.0.0.2")]),
    ));
    let (pool, _feeding) = follow(source(&api));
    let mut events = pool.events();
    until_ids(&pool, &["10.0.0.1:80", "10.0.0.2:80"]).await;
    assert!(
        pool.list()
            .iter()
            .all(|backend| backend.state() == State::Healthy)
    );

    // It moves: both have it, then only the other one.
    api.put(slice(
        "web-2",
        json!([ready("10.0.0.1"), ready("10.0.0.2")]),
    ));
    api.put(slice("web-1", json!([])));
    until("moved", || pool.status().sources()[0].members() == 2).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    api.delete("web-1");
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let left =
        std::iter::from_fn(|| events.try_next()).any(|event| event.to_string().contains("left"));
    assert!(!left);
    assert_eq!(pool.len(), 2);
    assert_eq!(pool.status().sources()[0].skipped(), 0);
}

#[tokio::test(start_paused = true)]
async fn families_can_be_chosen() {
    let api = Api::new();
    api.put(slice("web-4", json!([ready("10.0.0.1")])));
    let mut six = slice("web-6", json!([ready("fd00::1")]));
    six["addressType"] = "IPv6".into();
    api.put(six);
    for (family, wanted) in [
        (IpFamily::Any, &["10.0.0.1:80", "[fd00::1]:80"][..]),
        (IpFamily::V4, &["10.0.0.1:80"]),
        (IpFamily::V6, &["[fd00::1]:80"]),
    ] {
        let (pool, _feeding) = follow(source(&api).ip_family(family));
        until_ids(&pool, wanted).await;
        assert_eq!(pool.status().sources()[0].skipped(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn hints_count_when_all_that_are_ready_have_them() {
    let api = Api::new();
    let hinted = |address: &str, zone: &str| {
        let mut endpoint = ready(address);
        endpoint["hints"] = json!({"forZones": [{"name": zone}]});
        endpoint
    };
    let [a, b, c] = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
    api.put(slice(
        "web-1",
        json!([
            hinted("10.0.0.1", "a"),
            hinted("10.0.0.2", "b"),
            leaving("10.0.0.3")
        ]),
    ));
    let (in_a, _feeding) = follow(source(&api).topology_hints("a"));
    let (in_c, _feeding_c) = follow(source(&api).topology_hints("c"));
    until_ids(&in_a, &[a, c]).await;
    // Nothing is meant for it, so that it may use all.
    until_ids(&in_c, &[a, b, c]).await;
    api.put(slice(
        "web-1",
        json!([
            hinted("10.0.0.1", "a"),
            hinted("10.0.0.2", "b"),
            ready("10.0.0.3")
        ]),
    ));
    until_ids(&in_a, &[a, b, c]).await;
}

#[test]
fn names_that_would_mean_something_else_are_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let _in_it = runtime.enter();
    let client = Api::new().client();
    let error = EndpointSlices::new(client.clone(), "shop", "web,a=b").unwrap_err();
    assert!(error.to_string().contains("Service \"web,a=b\""), "{error}");
    assert!(EndpointSlices::new(client, "a/b", "web").is_err());
}
