//! Clients that are slow, or send too much. None can hold anything for long.

use std::time::Duration;

use evenkeel::http::proxy::{ClientBuilder, Server};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::setup::{Front, Settings, answering, backend, head, rest, status, within};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const SOON: Duration = Duration::from_millis(100);
/// Long enough for a head that does come, on a busy machine.
const HEAD: Duration = Duration::from_millis(500);

fn server(server: Server) -> Settings {
    Settings {
        server,
        ..Settings::default()
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_closes_the_connection() {
    let (address, _) = answering(OK).await;
    let front = Front::start_with(&[address], server(Server::new().head_timeout(HEAD))).await;
    // Nothing, half of what could be HTTP/2, half a head.
    for begun in ["", "PRI * HT", "GET / HTTP/1.1\r\nHost: a\r\nX: "] {
        let mut stream = front.connect().await;
        stream.write_all(begun.as_bytes()).await.expect("it reads");
        let answer = rest(&mut stream).await;
        assert!(!answer.contains("200"), "{begun:?}: {answer}");
    }
    // And one that is kept after an answer.
    let mut stream = front.connect().await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(get.as_bytes()).await.expect("it reads");
    assert_eq!(status(&rest(&mut stream).await), "200");
}

#[tokio::test]
async fn a_head_that_trickles_has_no_more_time_than_another() {
    let front = Front::start_with(&[], server(Server::new().head_timeout(HEAD))).await;
    let mut stream = front.connect().await;
    let trickling = async {
        stream.write_all(b"GET / HTTP/1.1\r\nX: ").await?;
        loop {
            stream.write_all(b"x").await?;
            sleep(Duration::from_millis(5)).await;
        }
    };
    let ended: std::io::Result<()> = within("the end of the connection", trickling).await;
    ended.expect_err("it is closed");
}

#[tokio::test]
async fn floods_of_headers_are_a_431_and_long_targets_too() {
    let (address, seen) = answering(OK).await;
    let small = Server::new().max_head_bytes(8192).expect("a size");
    let front = Front::start_with(&[address], server(small)).await;
    let long = "x".repeat(9000);
    let requests = [
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"),
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\n{}\r\n",
            "X: 1\r\n".repeat(101)
        ),
        format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", long.repeat(100)),
    ];
    for request in requests {
        let mut stream = front.connect().await;
        // It may be closed before all is written.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = rest(&mut stream).await;
        let start: String = request.chars().take(60).collect();
        assert_eq!(status(&answer), "431", "{start:?}: {answer}");
    }
    let target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(70_000));
    let mut stream = front.connect().await;
    let _ = stream.write_all(target.as_bytes()).await;
    let answer = rest(&mut stream).await;
    assert!(["414", "431"].contains(&status(&answer)), "{answer}");
    assert_eq!(seen.lock().expect("no panic").len(), 0);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_a_408_and_not_held_against_the_backend() {
    let address = backend(async |mut stream| {
        head(&mut stream).await;
        rest(&mut stream).await;
    });
    let settings = Settings {
        proxy: |proxy| proxy.body_idle_timeout(SOON),
        ..Settings::default()
    };
    let front = Front::start_with(&[address.await], settings).await;
    let answer = front
        .exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf")
        .await;
    assert_eq!(status(&answer), "408", "{answer}");
    front.is_settled().await;
    let problem = front.problems().remove(0);
    assert!(problem.starts_with("408 Request Timeout: "), "{problem}");
    assert!(problem.contains("nothing more came for 100ms"), "{problem}");
    assert_eq!(front.pool.list()[0].counts().failures(), 0);
}

#[tokio::test]
async fn who_takes_nothing_of_its_answer_is_hung_up_on() {
    let address = backend(async |mut stream| {
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    });
    let settings = server(Server::new().write_timeout(SOON));
    let front = Front::start_with(&[address.await], settings).await;
    let mut stream = front.connect().await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(get.as_bytes()).await.expect("it reads");
    front.has_ended(1).await;
    assert!(front.problems().is_empty(), "the backend is not to blame");
}

#[tokio::test]
async fn who_goes_away_leaves_nothing_behind() {
    let address = backend(async |mut stream| {
        head(&mut stream).await;
        sleep(Duration::from_secs(3600)).await;
    });
    let front = Front::start(&[address.await]).await;
    let mut stream = front.connect().await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(get.as_bytes()).await.expect("it reads");
    front.has_in_flight(1).await;
    drop(stream);
    front.is_settled().await;
}

#[tokio::test]
async fn no_more_connections_are_served_than_may_be() {
    let (address, _) = answering(OK).await;
    let one = Server::new().max_connections(1).expect("a number");
    let front = Front::start_with(&[address], server(one)).await;
    let first = front.connect().await;
    // Let it be accepted first.
    sleep(Duration::from_millis(50)).await;
    let (second, ()) = tokio::join!(front.get(), async {
        sleep(Duration::from_millis(50)).await;
        drop(first);
    });
    assert_eq!(status(&second), "200");
}

#[tokio::test]
async fn times_without_end_are_times_like_others() {
    let (address, _) = answering(OK).await;
    let endless = Server::new()
        .head_timeout(Duration::MAX)
        .write_timeout(Duration::MAX)
        .grace(Duration::MAX);
    let settings = Settings {
        proxy: |proxy| {
            proxy
                .body_idle_timeout(Duration::MAX)
                .tunnel_idle_timeout(Duration::MAX)
        },
        client: ClientBuilder::new()
            .connect_timeout(Duration::MAX)
            .body_idle_timeout(Duration::from_secs(u64::MAX))
            .pool_idle_timeout(Duration::MAX),
        server: endless,
    };
    let front = Front::start_with(&[address], settings).await;
    assert_eq!(status(&front.get().await), "200");
    front.is_settled().await;
}

#[test]
fn limits_that_make_no_sense_are_refused_and_named() {
    let error = Server::new().max_head_bytes(1).unwrap_err().to_string();
    assert_eq!(
        error,
        "invalid size of a request head 1: expected 8192 to 1048576 bytes"
    );
    let error = Server::new().max_connections(0).unwrap_err().to_string();
    assert!(
        error.starts_with("invalid number of connections 0: "),
        "{error}"
    );
}
