//! A second file is put into use while requests run.

use std::future::pending;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use evenkeel::backend::{BackendInfo, State};
use evenkeel::config::Config;
use evenkeel::http::{Address, ReplayBody};
use evenkeel::{Error, Pool};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use tokio::time::{Instant, sleep};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceExt, service_fn};

use crate::read;

type Sent = Request<ReplayBody<Empty<Bytes>>>;
type Client = BoxCloneSyncService<Sent, Response<String>, BoxError>;

/// Does what the host's name says.
fn client() -> Client {
    BoxCloneSyncService::new(service_fn(|request: Sent| async move {
        match request.uri().host() {
            Some("hangs") => pending().await,
            Some("slow") => sleep(Duration::from_secs(20)).await,
            Some("broken") => return Err(io::Error::from(io::ErrorKind::ConnectionRefused).into()),
            _ => {}
        }
        Ok::<_, BoxError>(Response::new(request.uri().to_string()))
    }))
}

/// No file here asks for probes of HTTP.
fn nobody_probes() -> BoxCloneSyncService<Request<Full<Bytes>>, Response<String>, BoxError> {
    BoxCloneSyncService::new(service_fn(|_request| pending()))
}

fn get() -> Request<Empty<Bytes>> {
    Request::get("http://shop.example/")
        .body(Empty::new())
        .unwrap()
}

async fn ask(config: &Config, pool: &Pool<Address>) -> Result<String, Error> {
    let service = config.service(pool, client());
    let response = service.oneshot(get()).await?;
    Ok(response.into_body().get_ref().get_ref().clone())
}

fn in_flight(pool: &Pool<Address>) -> usize {
    pool.list().iter().map(BackendInfo::in_flight).sum()
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_stays_is_the_same_and_one_that_is_gone_gets_nothing_more() {
    let first = read("[[backend]]\naddress = \"a\"\n[[backend]]\naddress = \"slow\"\nid = \"b\"");
    let pool = first.pool();
    let (handle, since) = (
        pool.get("b").unwrap().handle(),
        pool.get("b").unwrap().since(),
    );
    sleep(Duration::from_secs(1)).await;

    let second = read(
        "[[backend]]\naddress = \"new\"\nid = \"b\"\nweight = 4\n[[backend]]\naddress = \"c\"",
    );
    second.apply(&pool);
    let ids: Vec<_> = pool.list().iter().map(|one| one.id().to_owned()).collect();
    assert_eq!(ids, ["b", "c"]);
    let b = pool.get("b").unwrap();
    assert_eq!((b.handle(), b.since(), b.weight()), (handle, since, 4));
    assert_eq!(pool.value("b").unwrap().to_string(), "http://new");
    for _ in 0..20 {
        let answer = ask(&second, &pool).await.unwrap();
        assert!(
            ["http://new/", "http://c/"].contains(&answer.as_str()),
            "{answer}"
        );
    }
}

#[test]
fn the_same_file_again_changes_nothing() {
    let text = include_str!("../../docs/reverse_proxy.toml");
    let pool = read(text).pool();
    assert!(!read(text).apply(&pool).any());
    assert_eq!(pool.rules(), read(text).rules());
}

#[tokio::test(start_paused = true)]
async fn the_rules_of_the_second_are_those_of_the_pool() {
    let first = read("[[backend]]\naddress = \"a\"\n[limit_each]\nmax_in_flight = 3");
    let pool = first.pool();
    assert_eq!(pool.get("a").unwrap().max_in_flight(), Some(3));
    read("[[backend]]\naddress = \"a\"").apply(&pool);
    assert_eq!(pool.get("a").unwrap().max_in_flight(), None);
}

/// Though its backend is not listed any more, and its time limit has become too short for it.
#[tokio::test(start_paused = true)]
async fn a_request_that_runs_ends_on_what_it_began_with() {
    let first = read("[[backend]]\naddress = \"slow\"\n[timeouts]\nattempt_timeout = \"25s\"");
    let pool = first.pool();
    let service = first.service(&pool, client());
    let running = tokio::spawn(service.oneshot(get()));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(in_flight(&pool), 1);

    let second = read("[[backend]]\naddress = \"a\"\n[timeouts]\nattempt_timeout = \"1s\"");
    second.apply(&pool);
    drop(first);
    assert_eq!(ask(&second, &pool).await.unwrap(), "http://a/");
    let response = running.await.unwrap().unwrap();
    assert_eq!(response.body().get_ref().get_ref(), "http://slow/");
    drop(response);
    assert_eq!(in_flight(&pool), 0);
}

#[tokio::test(start_paused = true)]
async fn the_numbers_of_a_file_are_those_of_its_service() {
    // Time limits, and attempts.
    let config = read(
        "[[backend]]\naddress = \"hangs\"\n[retry]\nattempts = 1\n[timeouts]\nattempt_timeout = \"700ms\"",
    );
    let (pool, began) = (config.pool(), Instant::now());
    let error = ask(&config, &pool).await.unwrap_err();
    assert_eq!(began.elapsed(), Duration::from_millis(700));
    assert_eq!(error.attempts().len(), 1);

    let config = read(
        "[[backend]]\naddress = \"hangs\"\n[timeouts]\nattempt_timeout = false\ntotal_time = \"3s\"",
    );
    let (pool, began) = (config.pool(), Instant::now());
    let error = ask(&config, &pool).await.unwrap_err();
    assert!(error.is_deadline_exceeded());
    assert_eq!(began.elapsed(), Duration::from_secs(3));

    // The limit, which all services of one file share.
    let config = read("[[backend]]\naddress = \"hangs\"\n[limit]\nmax_in_flight = 1\nqueue = 0");
    let pool = config.pool();
    let hangs = tokio::spawn(config.service(&pool, client()).oneshot(get()));
    sleep(Duration::from_secs(1)).await;
    assert!(ask(&config, &pool).await.unwrap_err().is_overloaded());
    hangs.abort();
    let _ = hangs.await;
    assert_eq!(in_flight(&pool), 0);
    assert_eq!(config.limit_layer().in_flight(), 0);

    // The rules of ejection, from the first request on.
    let config = read(
        "[[backend]]\naddress = \"broken\"\n[[backend]]\naddress = \"a\"\n[picker]\nalgorithm = \"round-robin\"\n[ejection]\nfailures_in_a_row = 2",
    );
    let pool = config.pool();
    let service = config.service(&pool, client());
    for _ in 0..6 {
        service.clone().oneshot(get()).await.unwrap();
        // The watch is a task of its own.
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(pool.get("broken").unwrap().state(), State::Ejected);
    assert_eq!(pool.get("broken").unwrap().counts().failures(), 2);
}

/// More of a body than is kept cannot be sent again.
#[tokio::test(start_paused = true)]
async fn so_much_of_a_body_is_kept_as_the_file_says() {
    type Sent = Request<ReplayBody<Full<Bytes>>>;
    let client = service_fn(|request: Sent| async move {
        let (head, body) = request.into_parts();
        let sent = body.collect().await?.to_bytes();
        if head.uri.host() == Some("broken") {
            return Err(BoxError::from(io::Error::from(
                io::ErrorKind::ConnectionReset,
            )));
        }
        Ok(Response::new(String::from_utf8_lossy(&sent).into_owned()))
    });
    for (max_bytes, attempts) in [(10, 2), (9, 1)] {
        let config = read(&format!(
            "[[backend]]\naddress = \"broken\"\n[[backend]]\naddress = \"a\"\n[picker]\nalgorithm = \"ordered\"\n[replay]\nmax_bytes = {max_bytes}",
        ));
        let pool = config.pool();
        let body = Full::new(Bytes::from_static(b"0123456789"));
        let request = Request::put("http://shop.example/").body(body).unwrap();
        let result = config.service(&pool, client).oneshot(request).await;
        match result {
            Ok(response) => {
                assert_eq!(response.body().get_ref().get_ref(), "0123456789");
                assert_eq!(attempts, 2, "{max_bytes} bytes are enough");
            }
            Err(error) => assert_eq!(error.attempts().len(), attempts, "{max_bytes}"),
        }
        assert_eq!(in_flight(&pool), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_watch_has_the_new_rules_and_forgets_nobody() {
    let backends = "[[backend]]\naddress = \"broken\"\n[[backend]]\naddress = \"a\"\n[picker]\nalgorithm = \"round-robin\"\n";
    let first = read(&format!("{backends}[ejection]\nbase_time = \"1h\""));
    let pool = first.pool();
    let mut watching = first.watch(&pool, nobody_probes());
    let service = first.service(&pool, client());
    for _ in 0..20 {
        service.clone().oneshot(get()).await.unwrap();
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!(pool.get("broken").unwrap().state(), State::Ejected);

    let second = read(&format!("{backends}[ejection]\nfailures_in_a_row = 1"));
    second.apply(&pool);
    watching = {
        // In this order: the old one is dropped when there is the new one.
        let new = second.watch(&pool, nobody_probes());
        drop(watching);
        new
    };
    sleep(Duration::from_secs(60)).await;
    assert_eq!(pool.get("broken").unwrap().state(), State::Ejected);

    // And one that joins is judged by the new rule.
    let third = read(&format!(
        "{backends}[[backend]]\naddress = \"broken\"\nid = \"c\"\n[ejection]\nfailures_in_a_row = 1\nmax_ejected = 1\n[rules]\npanic_threshold = 0"
    ));
    third.apply(&pool);
    let new = third.watch(&pool, nobody_probes());
    drop(watching);
    let service = third.service(&pool, client());
    for _ in 0..6 {
        service.clone().oneshot(get()).await.unwrap();
        // The watch is a task of its own.
        sleep(Duration::from_millis(1)).await;
    }
    let c = pool.get("c").unwrap();
    assert_eq!((c.state(), c.counts().failures()), (State::Ejected, 1));
    drop(new);
}
