//! Servers that fail, that are silent, and that talk nonsense.

use std::time::Duration;

use evenkeel::Pool;
use evenkeel::discover::dns::Dns;
use evenkeel::http::Address;
use evenkeel::set::SourceState;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::server::{NameServer, Reply, Saying, alias, referral};
use crate::{follow, ids, quick, source, told, until, until_fresh, until_ids, until_stale};

const BOTH: [RecordType; 2] = [RecordType::A, RecordType::AAAA];

fn dns(server: &NameServer) -> Dns {
    quick(Dns::new("api.test", 80).unwrap(), server.address)
}

#[tokio::test]
async fn a_failure_keeps_the_last_good_set_and_is_told() {
    let refers = Saying {
        authorities: vec![referral("test", "ns.test")],
        ..Saying::default()
    };
    for (reply, error) in [
        (ResponseCode::ServFail.into(), "Server Failure"),
        (ResponseCode::Refused.into(), "Query Refused"),
        (Reply::Silence, "request timed out"),
        (Reply::OnlyByTcpAndSilent, "request timed out"),
        (Reply::Garbage, "127.0.0.1:"),
        (refers.into(), "refers to other servers"),
    ] {
        let server = NameServer::start().await;
        server.addresses("api.test", &["10.0.0.1", "::1"]);
        let pool = Pool::<Address>::new();
        // What is no answer is no empty set, either.
        let _feeding = follow(dns(&server)).allow_empty(true).spawn(&pool);
        until_ids(&pool, &["10.0.0.1:80", "[::1]:80"]).await;
        for kind in BOTH {
            server.says("api.test", kind, reply.clone());
        }
        until_stale(&pool, error).await;
        let said = source(&pool).error().unwrap().to_owned();
        assert!(said.contains("A of api.test"), "{said}");
        assert!(said.contains(&server.address.to_string()), "{said}");
        assert_eq!(ids(&pool), ["10.0.0.1:80", "[::1]:80"]);

        server.addresses("api.test", &["10.0.0.2"]);
        until_ids(&pool, &["10.0.0.2:80"]).await;
        until_fresh(&pool).await;
    }
}

#[tokio::test]
async fn a_family_that_fails_keeps_its_addresses_and_hides_none_of_the_other() {
    for reply in [Reply::Silence, ResponseCode::ServFail.into()] {
        let server = NameServer::start().await;
        server.addresses("api.test", &["10.0.0.1", "::1"]);
        let pool = Pool::<Address>::new();
        let mut events = pool.events();
        let _feeding = follow(dns(&server)).spawn(&pool);
        until_ids(&pool, &["10.0.0.1:80", "[::1]:80"]).await;
        server.addresses("api.test", &["10.0.0.2"]);
        server.says("api.test", RecordType::AAAA, reply.clone());
        until_ids(&pool, &["10.0.0.2:80", "[::1]:80"]).await;
        until_fresh(&pool).await;
        assert_eq!(source(&pool).skipped(), 1);
        let all = told(&mut events).join("\n");
        assert!(all.contains("AAAA of api.test"), "{all}");

        // Both fail, which opens the source anew; what it knew is still known.
        server.says("api.test", RecordType::A, reply);
        until_stale(&pool, "A of api.test").await;
        assert_eq!(ids(&pool), ["10.0.0.2:80", "[::1]:80"]);
        let a = crate::server::address("api.test", "10.0.0.3", 0);
        server.says("api.test", RecordType::A, vec![a]);
        until_ids(&pool, &["10.0.0.3:80", "[::1]:80"]).await;
        until_fresh(&pool).await;

        server.addresses("api.test", &["10.0.0.3"]);
        until_ids(&pool, &["10.0.0.3:80"]).await;
        until("nothing is skipped", || source(&pool).skipped() == 0).await;
    }
}

#[tokio::test]
async fn a_family_that_fails_from_the_beginning_does_not_keep_the_other_waiting_for_ever() {
    let server = NameServer::start().await;
    server.addresses("api.test", &["10.0.0.1"]);
    server.says("api.test", RecordType::AAAA, Reply::Silence);
    let pool = Pool::<Address>::new();
    let _feeding = follow(dns(&server)).spawn(&pool);
    until_ids(&pool, &["10.0.0.1:80"]).await;
    assert_eq!(source(&pool).state(), SourceState::Fresh);
}

#[tokio::test]
async fn nothing_of_one_family_and_a_failure_of_the_other_is_no_empty_set() {
    let server = NameServer::start().await;
    server.addresses("api.test", &["10.0.0.1"]);
    let pool = Pool::<Address>::new();
    let _feeding = follow(dns(&server)).allow_empty(true).spawn(&pool);
    until_ids(&pool, &["10.0.0.1:80"]).await;
    server.says("api.test", RecordType::AAAA, ResponseCode::ServFail);
    server.says("api.test", RecordType::A, ResponseCode::NXDomain);
    until_stale(&pool, "AAAA of api.test").await;
    assert_eq!(ids(&pool), ["10.0.0.1:80"]);
}

#[tokio::test]
async fn aliases_that_form_a_loop_are_an_error_that_names_it() {
    for records in [
        vec![alias("api.test", "api.test", 0)],
        vec![
            alias("api.test", "a.test", 0),
            alias("a.test", "API.test", 0),
        ],
    ] {
        let server = NameServer::start().await;
        for kind in BOTH {
            server.says("api.test", kind, records.clone());
        }
        let pool = Pool::<Address>::new();
        let _feeding = follow(dns(&server)).spawn(&pool);
        until_stale(&pool, "A of api.test: its aliases (CNAME) form a loop at").await;
    }
    // Each step in a message of its own.
    let server = NameServer::start().await;
    for kind in BOTH {
        for (from, to) in [
            ("api.test", "a.test"),
            ("a.test", "b.test"),
            ("b.test", "a.test"),
        ] {
            server.says(from, kind, vec![alias(from, to, 0)]);
        }
    }
    let pool = Pool::<Address>::new();
    let _feeding = follow(dns(&server)).spawn(&pool);
    until_stale(&pool, "form a loop at a.test").await;
    assert!(pool.is_empty());
}

#[tokio::test]
async fn aliases_without_an_end_are_an_error() {
    let server = NameServer::start().await;
    for at in 0..40 {
        let (from, to) = (format!("a{at}.test"), format!("a{}.test", at + 1));
        for kind in BOTH {
            server.says(&from, kind, vec![alias(&from, &to, 0)]);
        }
    }
    let pool = Pool::<Address>::new();
    let dns = quick(Dns::new("a0.test", 80).unwrap(), server.address);
    let _feeding = follow(dns).spawn(&pool);
    until_stale(&pool, "more than 16 aliases (CNAME) in a row").await;
    assert_eq!(server.count("a20.test", RecordType::A), 0);
}

#[tokio::test]
async fn the_next_server_is_asked_when_one_fails_and_stays_the_first() {
    for reply in [
        Reply::Silence,
        ResponseCode::ServFail.into(),
        ResponseCode::Refused.into(),
    ] {
        let (bad, good) = (NameServer::start().await, NameServer::start().await);
        for kind in BOTH {
            bad.says("api.test", kind, reply.clone());
        }
        good.addresses("api.test", &["10.0.0.1", "::1"]);
        let pool = Pool::<Address>::new();
        let dns = dns(&bad).name_server(good.address).unwrap();
        let _feeding = follow(dns).spawn(&pool);
        until_ids(&pool, &["10.0.0.1:80", "[::1]:80"]).await;
        let before = bad.asked().len();
        let asked = good.asked().len();
        until("five rounds more", || good.asked().len() > asked + 10).await;
        assert_eq!(bad.asked().len(), before);
        assert_eq!(source(&pool).state(), SourceState::Fresh);
    }
}

#[tokio::test]
async fn that_there_is_nothing_is_an_answer_and_no_reason_to_ask_the_next_server() {
    let (first, second) = (NameServer::start().await, NameServer::start().await);
    second.addresses("api.test", &["10.0.0.1"]);
    let pool = Pool::<Address>::new();
    let dns = dns(&first).name_server(second.address).unwrap();
    let _feeding = follow(dns).spawn(&pool);
    until_stale(&pool, "an empty set").await;
    assert!(second.asked().is_empty());
}

#[tokio::test]
async fn dropping_the_pool_ends_all_tasks_and_sockets_at_once() {
    let server = NameServer::start().await;
    // A look-up over UDP and one over TCP hang; with this time-out, for longer than the test.
    server.says("api.test", RecordType::A, Reply::Silence);
    server.says("api.test", RecordType::AAAA, Reply::OnlyByTcpAndSilent);
    let metrics = tokio::runtime::Handle::current().metrics();
    let tasks = metrics.num_alive_tasks();
    for dropped_is_pool in [true, false] {
        let pool = Pool::<Address>::new();
        let dns = dns(&server).timeout(Duration::from_secs(3600)).unwrap();
        let feeding = follow(dns).spawn(&pool);
        let before = server.asked().len();
        until("asked over TCP", || {
            server.asked()[before..].iter().any(|question| question.tcp)
        })
        .await;
        assert!(metrics.num_alive_tasks() > tasks);
        if dropped_is_pool {
            drop(pool);
            until("all tasks end", || metrics.num_alive_tasks() <= tasks).await;
            drop(feeding);
        } else {
            drop(feeding);
            until("all tasks end", || metrics.num_alive_tasks() <= tasks).await;
        }
    }
}
