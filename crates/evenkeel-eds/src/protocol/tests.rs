use envoy_types::pb::envoy::config::endpoint::v3::LocalityLbEndpoints;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryResponse, DiscoveryResponse, ResourceName,
};
use envoy_types::pb::google::protobuf::Duration as PbDuration;
use proptest::prelude::*;

use super::*;

fn wanted() -> Wanted {
    Wanted {
        resource: "shop".into(),
        mapping: Mapping::default(),
    }
}

fn any_of(cluster: &str) -> Any {
    let message = ClusterLoadAssignment {
        cluster_name: cluster.into(),
        endpoints: vec![LocalityLbEndpoints::default()],
        ..ClusterLoadAssignment::default()
    };
    Any {
        type_url: ClusterLoadAssignment::type_url(),
        value: message.encode_to_vec(),
    }
}

fn wrapped(name: &str, resource: Option<Any>, seconds: i64) -> Any {
    let resource = Resource {
        name: name.into(),
        ttl: Some(PbDuration { seconds, nanos: 0 }),
        resource,
        ..Resource::default()
    };
    Any {
        type_url: Resource::type_url(),
        value: resource.encode_to_vec(),
    }
}

fn response(resources: Vec<Any>) -> DiscoveryResponse {
    DiscoveryResponse {
        version_info: "5".into(),
        nonce: "n".into(),
        type_url: ClusterLoadAssignment::type_url(),
        resources,
        ..DiscoveryResponse::default()
    }
}

#[test]
fn a_wrapped_resource_has_a_time_to_live_which_a_heartbeat_prolongs() {
    let mut protocol = StateOfTheWorld::new(wanted());
    let news = |protocol: &mut StateOfTheWorld, any| protocol.answer(response(vec![any])).news;
    let taken = match news(&mut protocol, wrapped("shop", Some(any_of("shop")), 30)) {
        News::Assignment(taken) => taken,
        other => panic!("{other:?}"),
    };
    assert_eq!(taken.version, "5");
    assert_eq!(taken.good_for, Some(Duration::from_secs(30)));
    match news(&mut protocol, wrapped("shop", None, 60)) {
        News::StillGood(good_for) => assert_eq!(good_for, Some(Duration::from_secs(60))),
        other => panic!("{other:?}"),
    }
    for other in [wrapped("other", None, 60), any_of("other")] {
        assert!(matches!(news(&mut protocol, other), News::Nothing));
    }
    let mixed_up = wrapped("shop", Some(any_of("other")), 60);
    match news(&mut protocol, mixed_up) {
        News::Refused(why) => assert!(why.ends_with("its cluster is \"other\""), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_server_says_is_wrong_with_the_resource_is_passed_on() {
    let error = |name: &str| ResourceError {
        resource_name: Some(ResourceName {
            name: name.into(),
            ..ResourceName::default()
        }),
        error_detail: Some(Status {
            code: Code::NotFound as i32,
            message: "no such cluster".into(),
            details: Vec::new(),
        }),
    };
    let mut protocol = StateOfTheWorld::new(wanted());
    let mut trouble = |name| {
        let mut response = response(Vec::new());
        response.resource_errors = vec![error(name)];
        let answer = protocol.answer(response);
        assert_eq!(answer.reply.error_detail, None);
        answer.trouble
    };
    assert_eq!(trouble("other"), None);
    let said = "the server says NotFound: no such cluster";
    assert_eq!(trouble("shop").as_deref(), Some(said));
}

#[test]
fn an_incremental_response_needs_no_type_to_say_what_is_gone() {
    let mut protocol = Incremental::new(wanted());
    let mut news = |removed: &[&str], type_url: &str| {
        let answer = protocol.answer(DeltaDiscoveryResponse {
            type_url: type_url.into(),
            removed_resources: removed.iter().map(|&name| name.to_owned()).collect(),
            ..DeltaDiscoveryResponse::default()
        });
        answer.news
    };
    assert!(matches!(news(&["shop"], ""), News::Gone));
    assert!(matches!(news(&["other"], ""), News::Nothing));
    assert!(matches!(news(&["shop"], "other"), News::Refused(_)));
}

proptest! {
    // A failure prints the case.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    /// The answer is an ACK of the version, or a NACK that says why and keeps the last one.
    #[test]
    fn any_response_gets_one_answer(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0..4u8,
    ) {
        let resource = match kind {
            0 => Any { type_url: ClusterLoadAssignment::type_url(), value: bytes },
            1 => Any { type_url: Resource::type_url(), value: bytes },
            2 => Any { type_url: "x".into(), value: bytes },
            _ => any_of("shop"),
        };
        let mut protocol = StateOfTheWorld::new(wanted());
        let answer = protocol.answer(response(vec![resource]));
        prop_assert_eq!(&answer.reply.response_nonce, "n");
        let refused = matches!(answer.news, News::Refused(_));
        prop_assert_eq!(refused, answer.reply.error_detail.is_some());
        prop_assert_eq!(&answer.reply.version_info, if refused { "" } else { "5" });
    }

    #[test]
    fn any_bytes_of_a_response_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(response) = DiscoveryResponse::decode(&*bytes) {
            StateOfTheWorld::new(wanted()).answer(response);
        }
        if let Ok(response) = DeltaDiscoveryResponse::decode(&*bytes) {
            Incremental::new(wanted()).answer(response);
        }
    }
}
