//! SRV records.

use evenkeel::Pool;
use evenkeel::discover::dns::{Dns, IpFamily};
use evenkeel::http::Address;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::SRV;
use hickory_proto::rr::{RData, Record, RecordType};

use crate::server::{NameServer, Reply, Saying, absolute, address, alias, service};
use crate::{follow, ids, quick, source, told, until, until_fresh, until_ids, until_stale};

const NAME: &str = "_http._tcp.api.test";

fn dns(server: &NameServer) -> Dns {
    quick(Dns::srv(NAME).unwrap(), server.address)
}

fn says(server: &NameServer, records: Vec<Record>) {
    server.says(NAME, RecordType::SRV, records);
}

#[tokio::test]
async fn targets_are_looked_up_and_priority_weight_and_port_are_those_of_the_record() {
    let server = NameServer::start().await;
    let records = vec![
        service(NAME, (20, 1), "spare.test", 8081),
        service(NAME, (10, 3), "one.test", 8080),
        service(NAME, (10, 1), "two.test", 8080),
    ];
    says(&server, records);
    server.addresses("one.test", &["10.0.0.1", "::1"]);
    server.addresses("two.test", &["10.0.0.2"]);
    server.addresses("spare.test", &["10.0.0.1"]);
    let pool = Pool::<Address>::new();
    let _feeding = follow(dns(&server)).spawn(&pool);
    let all = [
        "10.0.0.1:8080",
        "10.0.0.1:8081",
        "10.0.0.2:8080",
        "[::1]:8080",
    ];
    until_ids(&pool, &all).await;
    assert_eq!(source(&pool).name(), format!("dns srv {NAME}"));
    for (id, priority, weight, target) in [
        ("10.0.0.1:8080", 10, 3, "one.test"),
        ("[::1]:8080", 10, 3, "one.test"),
        ("10.0.0.2:8080", 10, 1, "two.test"),
        ("10.0.0.1:8081", 20, 1, "spare.test"),
    ] {
        let backend = pool.get(id).unwrap();
        assert_eq!(
            (backend.priority(), backend.weight()),
            (priority, weight),
            "{id}"
        );
        assert_eq!(backend.metadata("dns.target"), Some(target));
    }
    // The lowest priority that there is comes first, though it is not 0.
    let status = pool.status();
    let tiers: Vec<_> = status
        .tiers()
        .iter()
        .map(|tier| (tier.priority(), tier.share()))
        .collect();
    assert_eq!(tiers, [(10, 1.0), (20, 0.0)]);

    let records = vec![service(NAME, (20, 7), "spare.test", 8081)];
    says(&server, records);
    until_ids(&pool, &["10.0.0.1:8081"]).await;
    until("the new weight", || {
        pool.get("10.0.0.1:8081").unwrap().weight() == 7
    })
    .await;
}

#[tokio::test]
async fn addresses_that_come_along_are_not_asked_for() {
    let server = NameServer::start().await;
    let answer = Saying {
        answers: vec![
            service(NAME, (0, 1), "one.test", 80),
            service(NAME, (0, 1), "two.test", 80),
        ],
        additionals: vec![
            address("ONE.test", "10.0.0.1", 0),
            address("one.test", "::1", 0),
            address("two.test", "10.0.0.2", 0),
            address("evil.test", "10.6.6.6", 0),
        ],
        ..Saying::default()
    };
    server.says(NAME, RecordType::SRV, answer);
    server.addresses("two.test", &["10.9.9.9", "::2"]);
    let pool = Pool::<Address>::new();
    let _feeding = follow(dns(&server)).spawn(&pool);
    // What does not come along for a family is asked for.
    let all = ["10.0.0.1:80", "10.0.0.2:80", "[::1]:80", "[::2]:80"];
    until_ids(&pool, &all).await;
    assert_eq!(server.count("one.test", RecordType::A), 0);
    assert_eq!(server.count("one.test", RecordType::AAAA), 0);
    assert_eq!(server.count("two.test", RecordType::A), 0);
}

#[tokio::test]
async fn a_service_behind_an_alias_is_found() {
    let server = NameServer::start().await;
    let answer = vec![
        alias(NAME, "_real._tcp.test", 0),
        service("_real._tcp.test", (0, 1), "one.test", 80),
    ];
    says(&server, answer);
    server.addresses("one.test", &["10.0.0.1"]);
    let pool = Pool::<Address>::new();
    let _feeding = follow(dns(&server)).spawn(&pool);
    until_ids(&pool, &["10.0.0.1:80"]).await;
}

#[tokio::test]
async fn a_target_of_a_dot_says_that_there_is_no_such_service() {
    for allowed in [false, true] {
        let server = NameServer::start().await;
        says(&server, vec![service(NAME, (0, 1), "one.test", 80)]);
        server.addresses("one.test", &["10.0.0.1"]);
        let pool = Pool::<Address>::new();
        let _feeding = follow(dns(&server)).allow_empty(allowed).spawn(&pool);
        until_ids(&pool, &["10.0.0.1:80"]).await;
        says(&server, vec![service(NAME, (0, 0), ".", 0)]);
        if allowed {
            until_ids(&pool, &[]).await;
        } else {
            until_stale(&pool, "an empty set").await;
            assert_eq!(ids(&pool), ["10.0.0.1:80"]);
        }
        assert_eq!(source(&pool).skipped(), 0);
    }
}

#[tokio::test]
async fn bad_records_are_skipped_and_named_and_hide_no_others() {
    let server = NameServer::start().await;
    let odd = SRV::new(
        0,
        1,
        80,
        hickory_proto::rr::Name::from_labels([&b"a b"[..]]).unwrap(),
    );
    let records = vec![
        service(NAME, (0, 1), "zero.test", 0),
        service(NAME, (0, 1), "good.test", 80),
        service(NAME, (0, 1), "gone.test", 80),
        service(NAME, (0, 1), ".", 80),
        Record::from_rdata(absolute(NAME), 0, RData::SRV(odd)),
    ];
    says(&server, records);
    server.addresses("good.test", &["10.0.0.1"]);
    server.addresses("zero.test", &["10.0.0.2"]);
    let pool = Pool::<Address>::new();
    let mut events = pool.events();
    let _feeding = follow(dns(&server)).spawn(&pool);
    until_ids(&pool, &["10.0.0.1:80"]).await;
    assert_eq!(source(&pool).skipped(), 3);
    let told = told(&mut events).join("\n");
    for part in [
        "zero.test:0",
        "its port is 0",
        ".:80",
        "no such service",
        "a\\040b:80",
        "no host name",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test]
async fn a_target_that_fails_keeps_the_addresses_it_had_and_is_named() {
    let server = NameServer::start().await;
    let records = |targets: &[&str]| {
        targets
            .iter()
            .map(|target| service(NAME, (0, 1), target, 80))
            .collect()
    };
    says(&server, records(&["one.test", "two.test"]));
    server.addresses("one.test", &["10.0.0.1"]);
    server.addresses("two.test", &["10.0.0.2"]);
    let pool = Pool::<Address>::new();
    let mut events = pool.events();
    let _feeding = follow(dns(&server)).spawn(&pool);
    until_ids(&pool, &["10.0.0.1:80", "10.0.0.2:80"]).await;

    server.says("two.test", RecordType::A, ResponseCode::ServFail);
    server.addresses("one.test", &["10.0.0.3"]);
    until_ids(&pool, &["10.0.0.2:80", "10.0.0.3:80"]).await;
    until_fresh(&pool).await;
    assert_eq!(source(&pool).skipped(), 1);
    let all = told(&mut events).join("\n");
    assert!(all.contains("A of two.test"), "{all}");

    // One that is not a target any more is not remembered.
    says(&server, records(&["one.test"]));
    until_ids(&pool, &["10.0.0.3:80"]).await;
    says(&server, records(&["one.test", "two.test"]));
    let asked = server.count("two.test", RecordType::A);
    until("asked of it", || {
        server.count("two.test", RecordType::A) > asked + 2
    })
    .await;
    assert_eq!(ids(&pool), ["10.0.0.3:80"]);

    // If none of them has an answer, that says nothing.
    for kind in [RecordType::A, RecordType::AAAA] {
        server.says("one.test", kind, Reply::Silence);
        server.says("two.test", kind, ResponseCode::Refused);
    }
    until_stale(&pool, "of").await;
    assert_eq!(ids(&pool), ["10.0.0.3:80"]);
}

#[tokio::test]
async fn more_than_a_thousand_targets_are_looked_up_a_few_at_a_time() {
    let server = NameServer::start().await;
    let mut records = Vec::new();
    for at in 0..1300 {
        let target = format!("t{at}.x");
        records.push(service(NAME, (0, 1), &target, 80));
        server.says(
            &target,
            RecordType::A,
            vec![address(
                &target,
                &format!("10.2.{}.{}", at / 200, at % 200 + 1),
                3600,
            )],
        );
    }
    says(&server, records);
    let pool = Pool::<Address>::new();
    let dns = dns(&server)
        .timeout(std::time::Duration::from_secs(30))
        .unwrap();
    let _feeding = follow(dns).spawn(&pool);
    until("1,300 members", || pool.len() == 1300).await;
    let tcp: Vec<_> = server
        .asked()
        .into_iter()
        .filter(|question| question.tcp)
        .collect();
    assert!(tcp.iter().any(|question| question.kind == RecordType::SRV));
    assert_eq!(source(&pool).skipped(), 0);
}

#[tokio::test]
async fn many_targets_without_an_answer_are_given_up_early() {
    let server = NameServer::start().await;
    let mut records = Vec::new();
    for at in 0..1000 {
        let target = format!("t{at}.x");
        records.push(service(NAME, (0, 1), &target, 80));
        server.says(&target, RecordType::A, Reply::Silence);
    }
    says(&server, records);
    let pool = Pool::<Address>::new();
    let _feeding = follow(dns(&server).ip_family(IpFamily::V4)).spawn(&pool);
    until_stale(&pool, "request timed out").await;
    let asked = server.asked();
    let names: std::collections::HashSet<_> = asked.iter().map(|question| &question.name).collect();
    // The name itself; 33 in a row; those that were under way beside the last of them.
    assert!(names.len() <= 1 + 33 + 15, "{}", names.len());
}
