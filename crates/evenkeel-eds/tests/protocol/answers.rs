//! What a response becomes, and what the server hears of it.

use std::time::Duration;

use envoy_types::pb::envoy::config::core::v3::HealthStatus;
use envoy_types::pb::google::protobuf::Any;
use evenkeel::backend::State;
use evenkeel::set::SourceState;
use evenkeel_eds::Node;
use tonic::Code;

use crate::manager::{
    Manager, any, assignment, endpoint, ids, plain, response, source, until, until_ids, weighted,
    with_health, zone,
};
use crate::{TYPE, eds, follow};

#[tokio::test]
async fn what_it_asks_names_the_cluster_and_the_node_and_a_good_answer_is_acknowledged() {
    let mut manager = Manager::start().await;
    let node = Node::new("shop-1").cluster("web").locality("r", "z", "s");
    let (pool, _feeding) = follow(eds(&manager).node(node.metadata("NAMESPACE", "prod")));
    let mut stream = manager.stream().await;

    let hello = stream.request().await;
    assert_eq!(hello.type_url, TYPE);
    assert_eq!(hello.resource_names, ["shop"]);
    assert_eq!(
        (&*hello.version_info, &*hello.response_nonce),
        ("", ""),
        "nothing is known"
    );
    let node = hello.node.unwrap();
    assert_eq!((&*node.id, &*node.cluster), ("shop-1", "web"));
    assert_eq!(node.locality.unwrap().sub_zone, "s");
    assert_eq!(node.metadata.unwrap().fields.len(), 1);
    assert_eq!(node.user_agent_name, "evenkeel");

    let endpoints = [weighted("127.0.0.1:81", 3), endpoint("[::1]:82")];
    let message = assignment("shop", [zone("a", 0, endpoints)]);
    stream.respond(response("7", "n1", [any(&message)]));
    let ack = stream.request().await;
    assert_eq!((&*ack.version_info, &*ack.response_nonce), ("7", "n1"));
    assert_eq!(ack.error_detail, None);
    assert_eq!(ack.resource_names, ["shop"]);
    assert_eq!(ack.node, None, "it is told once");
    until_ids(&pool, &["127.0.0.1:81", "[::1]:82"]).await;
    assert_eq!(pool.get("127.0.0.1:81").unwrap().weight(), 3);
    assert_eq!(source(&pool).state(), SourceState::Fresh);
    assert_eq!(
        source(&pool).name(),
        format!("eds shop from {}", manager.uri())
    );
}

#[tokio::test]
async fn the_resource_may_have_another_name_than_the_cluster() {
    let mut manager = Manager::start().await;
    let (pool, _feeding) = follow(eds(&manager).resource("shop-v2").unwrap());
    let mut stream = manager.stream().await;
    assert_eq!(stream.request().await.resource_names, ["shop-v2"]);
    let message = plain("shop-v2", &["127.0.0.1:81"]);
    stream.respond(response("7", "n1", [any(&message)]));
    until_ids(&pool, &["127.0.0.1:81"]).await;
}

#[tokio::test]
async fn what_is_no_good_is_refused_with_the_reason_and_the_last_good_set_stays() {
    let mut manager = Manager::start().await;
    let (pool, _feeding) = follow(eds(&manager));
    let mut events = pool.events();
    let mut stream = manager.stream().await;
    stream.request().await;
    let good = plain("shop", &["127.0.0.1:81"]);
    stream.respond(response("1", "n1", [any(&good)]));
    assert_eq!(stream.request().await.version_info, "1");

    let garbage = Any {
        type_url: TYPE.into(),
        value: vec![0xff; 9],
    };
    let of_another_type = Any {
        type_url: "type.googleapis.com/envoy.config.cluster.v3.Cluster".into(),
        value: Vec::new(),
    };
    let mut whole_of_another_type = response("5", "n5", []);
    whole_of_another_type.type_url = "type.googleapis.com/envoy.config.cluster.v3.Cluster".into();
    let unusable = assignment("shop", [zone("a", 0, [weighted("127.0.0.1:9", 0)])]);
    let refused = [
        (
            response("2", "n2", [garbage]),
            "resource 0: it cannot be decoded",
        ),
        (
            response("3", "n3", [any(&good), of_another_type]),
            "resource 1: the type is \"type.googleapis.com/envoy.config.cluster.v3.Cluster\"",
        ),
        (
            response("4", "n4", [any(&good), any(&good)]),
            "resource 1: \"shop\" is there twice",
        ),
        (whole_of_another_type, "the type is"),
        (
            response("6", "n6", [any(&unusable)]),
            "resource 0: no endpoint is usable: 127.0.0.1:9: its weight is 0",
        ),
    ];
    for (response, why) in refused {
        let nonce = response.nonce.clone();
        stream.respond(response);
        let nack = stream.request().await;
        assert_eq!(nack.version_info, "1", "the last that was taken");
        assert_eq!(nack.response_nonce, nonce);
        let detail = nack.error_detail.expect("a NACK");
        assert_eq!(detail.code, Code::InvalidArgument as i32);
        assert!(detail.message.contains(why), "{}", detail.message);
    }
    until("an event", || {
        let event = events.try_next()?.to_string();
        event
            .contains("shop skipped: refused, version \"6\": ")
            .then_some(())
    })
    .await;
    assert_eq!(ids(&pool), ["127.0.0.1:81"]);

    let better = plain("shop", &["127.0.0.1:82"]);
    stream.respond(response("7", "n7", [any(&better)]));
    let ack = stream.request().await;
    assert_eq!((&*ack.version_info, &*ack.response_nonce), ("7", "n7"));
    assert_eq!(ack.error_detail, None);
    until_ids(&pool, &["127.0.0.1:82"]).await;
}

#[tokio::test]
async fn a_bad_endpoint_is_told_of_and_hides_no_good_one() {
    let mut manager = Manager::start().await;
    let (pool, _feeding) = follow(eds(&manager));
    let mut events = pool.events();
    let mut stream = manager.stream().await;
    stream.request().await;
    let endpoints = [weighted("127.0.0.1:9", 0), endpoint("127.0.0.1:81")];
    let message = assignment("shop", [zone("a", 0, endpoints)]);
    stream.respond(response("1", "n1", [any(&message)]));
    let ack = stream.request().await;
    assert_eq!((&*ack.version_info, ack.error_detail), ("1", None));
    until_ids(&pool, &["127.0.0.1:81"]).await;
    assert_eq!(source(&pool).skipped(), 1);
    until("an event", || {
        let event = events.try_next()?.to_string();
        event
            .contains("127.0.0.1:9 skipped: its weight is 0")
            .then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_that_sends_the_same_bad_answer_again_and_again_is_slowed_down() {
    let mut manager = Manager::start().await;
    let (_pool, _feeding) = follow(eds(&manager));
    let mut stream = manager.stream().await;
    stream.request().await;
    let wrong = || {
        response(
            "1",
            "n",
            [any(&plain("shop", &[])), any(&plain("shop", &[]))],
        )
    };
    let begin = tokio::time::Instant::now();
    for _ in 0..4 {
        stream.respond(wrong());
        assert!(stream.request().await.error_detail.is_some());
    }
    // 100, 200 and 400 ms; it can only take longer.
    assert!(begin.elapsed() >= Duration::from_millis(700));

    // What comes meanwhile is not held up.
    stream.respond(wrong());
    let good = plain("shop", &["127.0.0.1:81"]);
    stream.respond(response("2", "good", [any(&good)]));
    assert!(stream.request().await.error_detail.is_some());
    let ack = stream.request().await;
    assert_eq!((&*ack.response_nonce, ack.error_detail), ("good", None));
}

#[tokio::test]
async fn other_resources_are_acknowledged_and_otherwise_ignored() {
    let mut manager = Manager::start().await;
    let (pool, _feeding) = follow(eds(&manager));
    let mut stream = manager.stream().await;
    stream.request().await;
    let other = plain("other", &["127.0.0.1:9"]);
    stream.respond(response("1", "n1", [any(&other)]));
    let ack = stream.request().await;
    assert_eq!((&*ack.version_info, ack.error_detail), ("1", None));
    assert_eq!(source(&pool).state(), SourceState::Connecting);
    let ours = plain("shop", &["127.0.0.1:81"]);
    stream.respond(response("2", "n2", [any(&other), any(&ours)]));
    until_ids(&pool, &["127.0.0.1:81"]).await;
}

#[tokio::test]
async fn an_empty_assignment_is_acknowledged_and_the_last_good_set_stays() {
    let mut manager = Manager::start().await;
    let (pool, _feeding) = follow(eds(&manager));
    let mut stream = manager.stream().await;
    stream.request().await;
    let good = plain("shop", &["127.0.0.1:81"]);
    stream.respond(response("1", "n1", [any(&good)]));
    stream.request().await;
    stream.respond(response("2", "n2", [any(&assignment("shop", []))]));
    assert_eq!(stream.request().await.version_info, "2");
    until("stale", || {
        (source(&pool).state() == SourceState::Stale).then_some(())
    })
    .await;
    assert_eq!(ids(&pool), ["127.0.0.1:81"]);
}

#[tokio::test]
async fn health_statuses_become_states() {
    let mut manager = Manager::start().await;
    let (pool, _feeding) = follow(eds(&manager));
    let mut stream = manager.stream().await;
    stream.request().await;
    let statuses = [
        (HealthStatus::Unknown, State::Healthy),
        (HealthStatus::Healthy, State::Healthy),
        (HealthStatus::Unhealthy, State::Unhealthy),
        (HealthStatus::Draining, State::Draining),
        (HealthStatus::Timeout, State::Unhealthy),
        (HealthStatus::Degraded, State::Degraded),
    ];
    let address = |at: usize| format!("127.0.0.1:{}", 81 + at);
    let endpoints = statuses.iter().enumerate();
    let endpoints = endpoints.map(|(at, &(status, _))| with_health(&address(at), status));
    let message = assignment("shop", [zone("a", 0, endpoints)]);
    stream.respond(response("1", "n1", [any(&message)]));
    until("all", || (pool.len() == statuses.len()).then_some(())).await;
    for (at, (status, state)) in statuses.into_iter().enumerate() {
        let backend = pool.get(&address(at)).unwrap();
        assert_eq!(backend.state(), state, "{status:?}");
    }
}
