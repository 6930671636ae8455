//! A server that stops.

use std::time::Duration;

use evenkeel::http::proxy::Server;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::setup::{Front, Settings, backend, head, rest, status, within};

/// A backend that answers when it is let.
async fn waiting() -> (std::net::SocketAddr, watch::Sender<bool>) {
    let (let_go, wait) = watch::channel(false);
    let address = backend(move |mut stream| {
        let mut wait = wait.clone();
        async move {
            head(&mut stream).await;
            let _ = wait.wait_for(|&go| go).await;
            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            let _ = stream.write_all(answer).await;
        }
    });
    (address.await, let_go)
}

#[tokio::test]
async fn running_requests_finish_idle_connections_are_closed_and_nobody_is_let_in() {
    let (address, let_go) = waiting().await;
    let front = Front::start(&[address]).await;
    let mut idle = front.connect().await;
    let mut running = front.connect().await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    running.write_all(get.as_bytes()).await.expect("it reads");
    front.has_in_flight(1).await;

    let (at, pool) = (front.address, front.pool.clone());
    let stopped = front.stop();
    idle.write_all(b"").await.expect("it is open");
    let refused = async { while TcpStream::connect(at).await.is_ok() {} };
    within("a refused connection", refused).await;
    assert!(!stopped.is_finished());

    let_go.send_replace(true);
    let answer = rest(&mut running).await;
    assert_eq!(status(&answer), "200", "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    drop(idle);
    within("the end of the server", stopped)
        .await
        .expect("no panic");
    assert_eq!(pool.list()[0].in_flight(), 0);
}

#[tokio::test]
async fn what_does_not_end_is_not_waited_for_longer_than_the_grace() {
    let (address, _let_go) = waiting().await;
    let settings = Settings {
        server: Server::new().grace(Duration::from_millis(50)),
        ..Settings::default()
    };
    let front = Front::start_with(&[address], settings).await;
    let mut running = front.connect().await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    running.write_all(get.as_bytes()).await.expect("it reads");
    front.has_in_flight(1).await;
    within("the end of the server", front.stop())
        .await
        .expect("no panic");
}

#[tokio::test]
async fn an_upgraded_connection_is_waited_for() {
    let address = backend(async |mut stream| {
        head(&mut stream).await;
        let switch =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        let _ = stream.write_all(switch.as_bytes()).await;
        rest(&mut stream).await;
    });
    let front = Front::start(&[address.await]).await;
    let mut stream = front.connect().await;
    let ask = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.expect("it reads");
    assert_eq!(status(&head(&mut stream).await), "101");
    front.has_in_flight(1).await;

    let pool = front.pool.clone();
    let stopped = front.stop();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!stopped.is_finished());
    drop(stream);
    within("the end of the server", stopped)
        .await
        .expect("no panic");
    assert_eq!(pool.list()[0].in_flight(), 0);
}
