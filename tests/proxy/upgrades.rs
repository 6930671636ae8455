//! Connections that go on as WebSocket.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::setup::{Front, Settings, answering, backend, head, rest, status, within};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// Switches, and sends back what it gets.
async fn echo(mut stream: TcpStream) {
    let head = head(&mut stream).await.to_ascii_lowercase();
    assert!(head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    assert!(head.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(head.contains("\r\nsec-websocket-key: "), "{head}");
    // The first bytes of the new protocol come along with the head.
    let switch = format!("{SWITCH}hello");
    stream.write_all(switch.as_bytes()).await.expect("it reads");
    let (mut from, mut to) = stream.split();
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

async fn upgraded(front: &Front) -> TcpStream {
    let mut stream = front.connect().await;
    stream.write_all(ASK.as_bytes()).await.expect("it reads");
    let answer = within("the switch", head(&mut stream)).await;
    assert_eq!(status(&answer), "101", "{answer}");
    assert!(answer.contains("\r\nconnection: upgrade\r\n"), "{answer}");
    assert!(answer.contains("\r\nupgrade: websocket\r\n"), "{answer}");
    assert!(answer.contains("\r\nsec-websocket-accept: "), "{answer}");
    stream
}

async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut read = vec![0; bytes.len()];
    let reading = stream.read_exact(&mut read);
    within("the other end's bytes", reading)
        .await
        .expect("bytes");
    assert_eq!(read, bytes);
}

#[tokio::test]
async fn bytes_pass_both_ways_and_the_request_is_in_flight_until_both_have_ended() {
    let front = Front::start(&[backend(echo).await]).await;
    let mut stream = upgraded(&front).await;
    expect(&mut stream, b"hello").await;
    for _ in 0..3 {
        stream.write_all(b"\x81\x02hi").await.expect("it reads");
        expect(&mut stream, b"\x81\x02hi").await;
        assert_eq!(front.in_flight(), 1);
    }
    // Half closed: the other half still works.
    stream.write_all(b"last").await.expect("it reads");
    stream.shutdown().await.expect("it is open");
    assert_eq!(rest(&mut stream).await, "last");
    front.is_settled().await;
    let counts = front.pool.list()[0].counts();
    assert_eq!((counts.successes(), counts.total()), (1, 1), "{counts:?}");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_it() {
    let front = Front::start(&[backend(echo).await]).await;
    let mut stream = upgraded(&front).await;
    expect(&mut stream, b"hello").await;
    assert_eq!(front.in_flight(), 1);
    drop(stream);
    front.is_settled().await;
}

#[tokio::test]
async fn a_connection_over_which_nothing_passes_is_closed() {
    let settings = Settings {
        proxy: |proxy| proxy.tunnel_idle_timeout(Duration::from_millis(100)),
        ..Settings::default()
    };
    let front = Front::start_with(&[backend(echo).await], settings).await;
    let mut stream = upgraded(&front).await;
    assert_eq!(rest(&mut stream).await, "hello");
    front.is_settled().await;
}

#[tokio::test]
async fn an_upgrade_that_is_not_allowed_or_not_asked_properly_is_an_ordinary_request() {
    let requests = [
        ASK.replace("WebSocket\r\n", "h2c\r\n"),
        ASK.replace("keep-alive, Upgrade", "close"),
        ASK.replace("GET", "PUT"),
        ASK.replace("HTTP/1.1", "HTTP/1.0"),
        ASK.replace("Host: a", "Host: a\r\nContent-Length: 1") + "a",
    ];
    for request in requests {
        let (address, seen) = answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        let front = Front::start(&[address]).await;
        let request = request.replace("keep-alive, Upgrade", "close, Upgrade");
        let answer = front.exchange(&request).await;
        assert_eq!(status(&answer), "200", "{request}: {answer}");
        let seen = seen.lock().expect("no panic")[0].to_ascii_lowercase();
        assert!(!seen.contains("\r\nupgrade: "), "{request}: {seen}");
        front.is_settled().await;
    }
}

#[tokio::test]
async fn a_backend_that_refuses_to_switch_answers_as_ever() {
    let (address, _) = answering("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno").await;
    let front = Front::start(&[address]).await;
    let answer = front.exchange(ASK.replace("keep-alive", "close")).await;
    assert_eq!(status(&answer), "403", "{answer}");
    front.is_settled().await;
}

#[tokio::test]
async fn a_backend_that_switches_to_something_else_is_a_502() {
    let (address, _) = answering(SWITCH.replace("websocket", "other")).await;
    let front = Front::start(&[address]).await;
    let answer = front.exchange(ASK.replace("keep-alive", "close")).await;
    assert_eq!(status(&answer), "502", "{answer}");
    front.is_settled().await;
}

#[tokio::test]
async fn other_protocols_can_be_allowed() {
    let switch = SWITCH.replace("websocket", "chat/2");
    let (address, _) = answering(switch).await;
    let settings = Settings {
        proxy: |proxy| proxy.upgrades(["chat/2"]).expect("a token"),
        ..Settings::default()
    };
    let front = Front::start_with(&[address], settings).await;
    let answer = front
        .exchange(ASK.replace("WebSocket\r\n", "Chat/2\r\n"))
        .await;
    assert_eq!(status(&answer), "101", "{answer}");
    front.is_settled().await;
}
