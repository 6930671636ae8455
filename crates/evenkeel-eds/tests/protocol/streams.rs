//! How streams begin, go on and end.

use std::time::Duration;

use envoy_types::pb::envoy::config::endpoint::v3::cluster_load_assignment::Policy;
use envoy_types::pb::google::protobuf::UInt32Value;
use evenkeel::set::SourceState;
use tonic::Status;

use crate::manager::{
    Manager, any, assignment, delta_response, endpoint, ids, plain, resource, response, soon,
    source, until, until_ids, zone,
};
use crate::{TYPE, eds, follow};

#[tokio::test]
async fn a_stream_that_fails_is_opened_anew_with_the_version_that_is_known() {
    let mut manager = Manager::start().await;
    // There is no time after which it would be believed in any case.
    let (pool, _feeding) = follow(eds(&manager).initial_fetch_timeout(Duration::ZERO));
    let mut stream = manager.stream().await;
    stream.request().await;
    stream.fail(Status::unavailable("not yet"));
    let mut stream = manager.stream().await;
    assert_eq!(stream.request().await.version_info, "");
    until("the error", || {
        let source = source(&pool);
        let said = source.error()?.contains("Unavailable: not yet");
        said.then_some(())
    })
    .await;
    let message = plain("shop", &["127.0.0.1:81"]);
    stream.respond(response("7", "n1", [any(&message)]));
    stream.request().await;
    until_ids(&pool, &["127.0.0.1:81"]).await;
    // What was refused is not what is known.
    stream.respond(response("8", "n2", [any(&message), any(&message)]));
    stream.request().await;
    stream.fail(Status::unavailable("later"));

    // The server has nothing to add, and the source is good again.
    let mut stream = manager.stream().await;
    let hello = stream.request().await;
    assert_eq!((&*hello.version_info, &*hello.response_nonce), ("7", ""));
    assert!(hello.node.is_some());
    until("fresh", || {
        (source(&pool).state() == SourceState::Fresh).then_some(())
    })
    .await;
    assert_eq!(ids(&pool), ["127.0.0.1:81"]);
}

#[tokio::test]
async fn a_server_that_is_silent_since_nothing_has_changed_is_believed_after_a_while() {
    let mut manager = Manager::start().await;
    let timeout = Duration::from_millis(200);
    let (pool, _feeding) = follow(eds(&manager).initial_fetch_timeout(timeout));
    let mut stream = manager.stream().await;
    stream.request().await;
    let message = plain("shop", &["127.0.0.1:81"]);
    stream.respond(response("7", "n1", [any(&message)]));
    stream.request().await;
    until_ids(&pool, &["127.0.0.1:81"]).await;
    // Not even the head of its response comes.
    manager.keep_heads_back(true);
    let mut events = pool.events();
    stream.fail(Status::unavailable("later"));
    let mut stream = manager.stream().await;
    assert_eq!(stream.request().await.version_info, "7");
    for state in ["stale (", "fresh"] {
        until(state, || {
            events.try_next()?.to_string().contains(state).then_some(())
        })
        .await;
    }
    // It is the same stream still.
    manager.keep_heads_back(false);
    let message = plain("shop", &["127.0.0.1:82"]);
    stream.respond(response("8", "n2", [any(&message)]));
    until_ids(&pool, &["127.0.0.1:82"]).await;
}

#[tokio::test]
async fn a_resource_that_never_comes_makes_the_source_say_so() {
    let mut manager = Manager::start().await;
    let timeout = Duration::from_millis(200);
    let (pool, _feeding) = follow(eds(&manager).initial_fetch_timeout(timeout));
    let mut stream = manager.stream().await;
    stream.request().await;
    until("the error", || {
        let source = source(&pool);
        let said = source.error()? == "no assignment of \"shop\" within 200ms";
        said.then_some(())
    })
    .await;
    assert_eq!(source(&pool).state(), SourceState::Stale);
    // It asks again, and if something came it says what was wrong with that.
    let mut stream = manager.stream().await;
    stream.request().await;
    let message = plain("shop", &["127.0.0.1:81"]);
    stream.respond(response("6", "n1", [any(&message), any(&message)]));
    until("the error with its reason", || {
        let source = source(&pool);
        let said = source
            .error()?
            .contains("what came was refused, version \"6\"");
        said.then_some(())
    })
    .await;
    let mut stream = manager.stream().await;
    stream.request().await;
    stream.respond(response("7", "n1", [any(&message)]));
    until_ids(&pool, &["127.0.0.1:81"]).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_and_is_found_when_it_comes() {
    let manager = Manager::start().await;
    let address = manager.address;
    let (pool, _feeding) = follow(eds(&manager));
    drop(manager);
    until("the error", || {
        let source = source(&pool);
        let said = source.error()?.to_owned();
        said.starts_with("the management server cannot be reached: ")
            .then_some(())
    })
    .await;
    let mut manager = Manager::start_at(address).await;
    let mut stream = manager.stream().await;
    stream.request().await;
    let message = plain("shop", &["127.0.0.1:81"]);
    stream.respond(response("7", "n1", [any(&message)]));
    until_ids(&pool, &["127.0.0.1:81"]).await;
}

#[tokio::test]
async fn the_stream_ends_with_the_pool_and_with_the_feeding() {
    let mut manager = Manager::start().await;
    let (pool, feeding) = follow(eds(&manager));
    let mut stream = manager.stream().await;
    stream.request().await;
    drop(pool);
    stream.ended().await;
    soon(feeding).await;

    let (_pool, feeding) = follow(eds(&manager));
    let mut stream = manager.stream().await;
    stream.request().await;
    drop(feeding);
    stream.ended().await;
}

#[tokio::test]
async fn a_response_that_is_too_large_ends_the_stream_and_the_last_good_set_stays() {
    let mut manager = Manager::start().await;
    let (pool, _feeding) = follow(eds(&manager).max_message(2000).unwrap());
    let mut stream = manager.stream().await;
    stream.request().await;
    let message = plain("shop", &["127.0.0.1:81"]);
    stream.respond(response("1", "n1", [any(&message)]));
    stream.request().await;
    let endpoints = (0..200).map(|at| endpoint(&format!("127.0.1.{at}:81")));
    let message = assignment("shop", [zone("a", 0, endpoints)]);
    stream.respond(response("2", "n2", [any(&message)]));
    let mut stream = manager.stream().await;
    assert_eq!(stream.request().await.version_info, "1");
    assert_eq!(ids(&pool), ["127.0.0.1:81"]);
}

#[tokio::test]
async fn what_has_expired_is_stale_and_is_asked_for_anew() {
    let mut manager = Manager::start().await;
    let source_of = eds(&manager);
    let mut policies = source_of.policies();
    let (pool, _feeding) = follow(source_of);
    let mut stream = manager.stream().await;
    stream.request().await;
    let mut message = plain("shop", &["127.0.0.1:81"]);
    message.policy = Some(Policy {
        endpoint_stale_after: Some(envoy_types::pb::google::protobuf::Duration {
            seconds: 0,
            nanos: 100_000_000,
        }),
        overprovisioning_factor: Some(UInt32Value { value: 200 }),
        ..Policy::default()
    });
    assert_eq!(policies.get().overprovisioning_factor(), None);
    stream.respond(response("1", "n1", [any(&message)]));
    let policy = soon(policies.changed()).await.unwrap();
    assert_eq!(policy.overprovisioning_factor(), Some(200));
    assert_eq!(
        policy.endpoint_stale_after(),
        Some(Duration::from_millis(100))
    );
    let mut stream = manager.stream().await;
    let hello = stream.request().await;
    assert_eq!(hello.version_info, "", "it is to be sent again");
    until("the error", || {
        let source = source(&pool);
        (source.error()? == "the last assignment has expired").then_some(())
    })
    .await;
    assert_eq!(ids(&pool), ["127.0.0.1:81"]);
    message.policy = None;
    stream.respond(response("1", "n1", [any(&message)]));
    until("fresh", || {
        (source(&pool).state() == SourceState::Fresh).then_some(())
    })
    .await;
    assert_eq!(policies.get().overprovisioning_factor(), None);
}

#[tokio::test]
async fn incremental_streams_send_versions_of_the_resource_and_say_when_it_is_removed() {
    let mut manager = Manager::start().await;
    let (pool, _feeding) = follow(eds(&manager).incremental());
    let mut stream = manager.delta().await;
    let hello = stream.request().await;
    assert_eq!(hello.type_url, TYPE);
    assert_eq!(hello.resource_names_subscribe, ["shop"]);
    assert!(hello.initial_resource_versions.is_empty());
    assert!(hello.node.is_some());

    let good = plain("shop", &["127.0.0.1:81"]);
    stream.respond(delta_response("n1", [resource("v1", &good)], &[]));
    let ack = stream.request().await;
    assert_eq!((&*ack.response_nonce, &ack.error_detail), ("n1", &None));
    assert!(ack.resource_names_subscribe.is_empty());
    until_ids(&pool, &["127.0.0.1:81"]).await;

    let mut wrong = resource("v2", &good);
    wrong.resource.as_mut().unwrap().value = vec![0xff; 9];
    stream.respond(delta_response("n2", [wrong], &[]));
    let nack = stream.request().await;
    assert_eq!(nack.response_nonce, "n2");
    assert!(nack.error_detail.unwrap().message.contains("decoded"));

    stream.fail(Status::unavailable("later"));
    let mut stream = manager.delta().await;
    let hello = stream.request().await;
    assert_eq!(hello.initial_resource_versions.len(), 1);
    assert_eq!(hello.initial_resource_versions["shop"], "v1");
    until("fresh", || {
        (source(&pool).state() == SourceState::Fresh).then_some(())
    })
    .await;

    stream.respond(delta_response("n3", [], &["other", "shop"]));
    assert_eq!(stream.request().await.response_nonce, "n3");
    until("stale", || {
        (source(&pool).state() == SourceState::Stale).then_some(())
    })
    .await;
    assert_eq!(ids(&pool), ["127.0.0.1:81"]);

    stream.fail(Status::unavailable("later"));
    let mut stream = manager.delta().await;
    let hello = stream.request().await;
    assert!(hello.initial_resource_versions.is_empty());
    let other = plain("shop", &["127.0.0.1:82"]);
    stream.respond(delta_response("n1", [resource("v3", &other)], &[]));
    until_ids(&pool, &["127.0.0.1:82"]).await;
}
