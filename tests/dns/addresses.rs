//! A and AAAA records.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use evenkeel::discover::dns::{Dns, IpFamily};
use evenkeel::http::Address;
use evenkeel::picker::{Context, Update};
use evenkeel::{BackendSet, Balance, Picker, Pool};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tower::service_fn;

use crate::server::{NameServer, Reply, Saying, address, alias, authority};
use crate::{follow, ids, quick, source, told, until, until_fresh, until_ids, until_stale};

fn dns(server: &NameServer) -> Dns {
    quick(Dns::new("api.test", 8080).unwrap(), server.address)
}

#[tokio::test]
async fn each_address_is_a_backend_and_they_are_followed() {
    let server = NameServer::start().await;
    let twice = ["10.0.0.2", "10.0.0.1", "2001:db8::1", "10.0.0.1"];
    server.addresses("api.test", &twice);
    let pool = Pool::<Address>::new();
    let _feeding = follow(dns(&server)).spawn(&pool);
    let all = ["10.0.0.1:8080", "10.0.0.2:8080", "[2001:db8::1]:8080"];
    until_ids(&pool, &all).await;
    assert_eq!(source(&pool).name(), "dns api.test:8080");
    let backend = pool.get("10.0.0.1:8080").unwrap();
    assert_eq!(backend.metadata("dns.target"), Some("api.test"));
    assert_eq!((backend.priority(), backend.weight()), (0, 1));
    let address = pool.value("[2001:db8::1]:8080").unwrap();
    assert_eq!(address.to_string(), "http://[2001:db8::1]:8080");

    server.addresses("api.test", &["10.0.0.1", "10.0.0.3"]);
    until_ids(&pool, &["10.0.0.1:8080", "10.0.0.3:8080"]).await;
}

/// Counts the sets that it is prepared for.
struct Counting(Arc<AtomicUsize>);

impl Picker<()> for Counting {
    fn pick(&self, _: &dyn BackendSet, (): &(), _: &mut Context) -> Option<usize> {
        Some(0)
    }

    fn prepare(&self, _: &Update<'_>) -> Option<Arc<dyn Picker<()>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[tokio::test]
async fn the_order_of_the_answer_changes_nothing() {
    let server = NameServer::start().await;
    let mut addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "::1", "::2"];
    server.addresses("api.test", &addresses);
    let pool = Pool::new();
    let prepared = Arc::new(AtomicUsize::new(0));
    let _balance = Balance::new(pool.clone(), Counting(Arc::clone(&prepared)));
    let make = |_: &SocketAddr| service_fn(|(): ()| async { Ok::<_, std::io::Error>(()) });
    let _feeding = follow(dns(&server)).spawn_with(&pool, make);
    until("5 members", || pool.len() == 5).await;
    let before = prepared.load(Ordering::Relaxed);
    for round in 0..5 {
        addresses.rotate_left(1);
        server.addresses("api.test", &addresses);
        let asked = server.count("api.test", RecordType::AAAA);
        until("two rounds more", || {
            server.count("api.test", RecordType::AAAA) > asked + 2
        })
        .await;
        assert_eq!(prepared.load(Ordering::Relaxed), before, "round {round}");
    }
    until_fresh(&pool).await;
}

#[tokio::test]
async fn only_the_family_that_is_wanted_is_asked_for() {
    for (family, kind, id) in [
        (IpFamily::V4, RecordType::A, "10.0.0.1:8080"),
        (IpFamily::V6, RecordType::AAAA, "[::1]:8080"),
    ] {
        let server = NameServer::start().await;
        server.addresses("api.test", &["10.0.0.1", "::1"]);
        let pool = Pool::<Address>::new();
        let _feeding = follow(dns(&server).ip_family(family)).spawn(&pool);
        until_ids(&pool, &[id]).await;
        assert!(server.asked().iter().all(|question| question.kind == kind));
    }
}

#[tokio::test]
async fn it_is_asked_again_when_the_least_ttl_of_addresses_and_aliases_has_passed() {
    let hour = Duration::from_secs(3600);
    for (ttls, again) in [
        ([3600, 3600, 3600], false),
        ([0, 3600, 3600], true),
        ([3600, 0, 3600], true),
        ([3600, 3600, 0], true),
        // Its highest bit is set.
        ([3600, u32::MAX, 3600], true),
    ] {
        let server = NameServer::start().await;
        let [of_alias, of_one, of_other] = ttls;
        let answer = vec![
            alias("api.test", "real.test", of_alias),
            address("real.test", "10.0.0.1", of_one),
            address("real.test", "10.0.0.2", of_other),
        ];
        server.says("api.test", RecordType::A, answer);
        let dns = dns(&server).ip_family(IpFamily::V4);
        let dns = dns.ttl_within(Duration::from_millis(1), hour).unwrap();
        let pool = Pool::<Address>::new();
        let _feeding = follow(dns).spawn(&pool);
        until_ids(&pool, &["10.0.0.1:8080", "10.0.0.2:8080"]).await;
        if again {
            until("asked again", || server.asked().len() > 3).await;
        } else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(server.asked().len(), 1);
        }
    }
}

#[tokio::test]
async fn where_there_is_nothing_it_is_asked_again_when_that_is_no_longer_sure() {
    for (minimum, again) in [(3600, false), (0, true)] {
        let server = NameServer::start().await;
        let nothing = Saying {
            code: ResponseCode::NXDomain,
            authorities: vec![authority("test", minimum)],
            ..Saying::default()
        };
        server.says("api.test", RecordType::A, nothing);
        let dns = dns(&server).ip_family(IpFamily::V4);
        let hour = Duration::from_secs(3600);
        let dns = dns.ttl_within(Duration::from_millis(1), hour).unwrap();
        let pool = Pool::<Address>::new();
        let _feeding = follow(dns).spawn(&pool);
        until_stale(&pool, "an empty set").await;
        if again {
            until("asked again", || server.asked().len() > 3).await;
        } else {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(server.asked().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_name_that_is_gone_is_an_empty_set_which_is_taken_only_if_that_is_allowed() {
    let nodata = Reply::Says(Saying::default());
    for allowed in [false, true] {
        for nothing in [ResponseCode::NXDomain.into(), nodata.clone()] {
            let server = NameServer::start().await;
            server.addresses("api.test", &["10.0.0.1", "::1"]);
            let pool = Pool::<Address>::new();
            let _feeding = follow(dns(&server)).allow_empty(allowed).spawn(&pool);
            until_ids(&pool, &["10.0.0.1:8080", "[::1]:8080"]).await;

            server.says("api.test", RecordType::A, nothing.clone());
            server.says("api.test", RecordType::AAAA, nothing);
            if allowed {
                until_ids(&pool, &[]).await;
                until_fresh(&pool).await;
            } else {
                until_stale(&pool, "an empty set").await;
                assert_eq!(ids(&pool), ["10.0.0.1:8080", "[::1]:8080"]);
            }
            server.addresses("api.test", &["10.0.0.2"]);
            until_ids(&pool, &["10.0.0.2:8080"]).await;
            until_fresh(&pool).await;
        }
    }
}

#[tokio::test]
async fn a_family_that_has_no_addresses_any_more_has_none_while_the_other_stays() {
    let server = NameServer::start().await;
    server.addresses("api.test", &["10.0.0.1", "::1"]);
    let pool = Pool::<Address>::new();
    let _feeding = follow(dns(&server)).spawn(&pool);
    until_ids(&pool, &["10.0.0.1:8080", "[::1]:8080"]).await;
    server.says("api.test", RecordType::AAAA, ResponseCode::NXDomain);
    until_ids(&pool, &["10.0.0.1:8080"]).await;
    until_fresh(&pool).await;
}

#[tokio::test]
async fn aliases_are_followed_through_one_message_and_several() {
    let server = NameServer::start().await;
    // From here to `b` in one message, from there on in others.
    let first = vec![alias("a.test", "B.test", 0), alias("api.test", "a.test", 0)];
    server.says("api.test", RecordType::A, first);
    server.says("b.test", RecordType::A, vec![alias("b.test", "c.test", 0)]);
    server.addresses("c.test", &["10.0.0.1", "::1"]);
    // Of the other family the message says that the way ends there.
    let elsewhere = Saying {
        answers: vec![alias("api.test", "c.test", 0)],
        code: ResponseCode::NXDomain,
        ..Saying::default()
    };
    server.says("api.test", RecordType::AAAA, elsewhere);
    let pool = Pool::<Address>::new();
    let _feeding = follow(dns(&server)).spawn(&pool);
    until_ids(&pool, &["10.0.0.1:8080"]).await;
    assert_eq!(server.count("c.test", RecordType::AAAA), 0);
    let backend = pool.get("10.0.0.1:8080").unwrap();
    assert_eq!(backend.metadata("dns.target"), Some("api.test"));
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp() {
    let server = NameServer::start().await;
    let all: Vec<String> = (0..2000)
        .map(|at| format!("10.1.{}.{}", at / 200, at % 200 + 1))
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    server.addresses("api.test", &all);
    let pool = Pool::<Address>::new();
    let _feeding = follow(dns(&server)).spawn(&pool);
    until("2,000 members", || pool.len() == 2000).await;
    assert!(server.asked().iter().any(|question| question.tcp));
}

#[tokio::test]
async fn more_than_the_limit_is_left_out_with_one_entry_that_says_how_many() {
    let server = NameServer::start().await;
    server.addresses(
        "api.test",
        &["10.0.0.3", "10.0.0.2", "10.0.0.1", "::1", "::2"],
    );
    let pool = Pool::<Address>::new();
    let mut events = pool.events();
    let _feeding = follow(dns(&server).max_backends(2).unwrap()).spawn(&pool);
    until_ids(&pool, &["10.0.0.1:8080", "10.0.0.2:8080"]).await;
    until("three rounds", || server.asked().len() > 6).await;
    assert_eq!(source(&pool).skipped(), 1);
    let told = told(&mut events).join("\n");
    let why = "3 addresses more than the 2 that are allowed";
    assert_eq!(told.matches(why).count(), 1, "{told}");
}

#[tokio::test]
async fn addresses_that_no_host_has_are_skipped() {
    let server = NameServer::start().await;
    let bad = ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"];
    server.addresses("api.test", &[&bad[..], &["10.0.0.1"]].concat());
    let pool = Pool::<Address>::new();
    let mut events = pool.events();
    let _feeding = follow(dns(&server)).spawn(&pool);
    until_ids(&pool, &["10.0.0.1:8080"]).await;
    assert_eq!(source(&pool).skipped(), bad.len());
    let told = told(&mut events).join("\n");
    for bad in bad {
        assert!(told.contains(bad), "{bad}: {told}");
    }
}

#[tokio::test]
async fn records_of_other_names_and_types_in_the_answer_are_not_taken() {
    let server = NameServer::start().await;
    let answer = vec![
        address("evil.test", "10.6.6.6", 0),
        address("api.test", "10.0.0.1", 0),
        address("api.test", "::6", 0),
    ];
    server.says("api.test", RecordType::A, answer);
    let pool = Pool::<Address>::new();
    let _feeding = follow(dns(&server)).spawn(&pool);
    until_ids(&pool, &["10.0.0.1:8080"]).await;
}
