//! A connection is enough.

use std::net::SocketAddr;
use std::time::Duration;

use evenkeel::health::TcpProbe;
use evenkeel::http::Address;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::setup::{HEALTHY, ask, nobody};

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[tokio::test]
async fn a_server_that_accepts_is_healthy_and_sees_a_connection_that_ends() {
    let (listener, address) = listener().await;
    assert_eq!(ask(&TcpProbe::new(), address.into()).await, HEALTHY);

    let (mut connection, _) = listener.accept().await.unwrap();
    let mut sent = Vec::new();
    let end = timeout(Duration::from_secs(60), connection.read_to_end(&mut sent));
    end.await.expect("an end").unwrap();
    assert!(sent.is_empty());
}

#[tokio::test]
async fn the_reason_names_where_no_connection_could_be_made() {
    let (_socket, address) = nobody();
    let reason = ask(&TcpProbe::default(), address.into()).await.unwrap_err();
    assert!(
        reason.starts_with(&format!("cannot connect to {address}: ")),
        "{reason}"
    );
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn the_port_of_an_address_is_that_of_its_scheme_by_default() {
    // No name has an empty label, so that nobody is asked for it.
    for (given, dialled) in [("http://a..b", "a..b:80"), ("https://a..b", "a..b:443")] {
        let address: Address = given.parse().unwrap();
        let reason = ask(&TcpProbe::new(), address).await.unwrap_err();
        assert!(
            reason.starts_with(&format!("cannot connect to {dialled}: ")),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_function_says_where_to_connect_for_any_value() {
    let (_listener, address) = listener().await;
    let probe = TcpProbe::to(|address: &SocketAddr| *address);
    assert_eq!(ask(&probe, address).await, HEALTHY);

    // A name that can have an IPv6 address too, where nobody listens.
    let probe = TcpProbe::to(|port: &u16| format!("localhost:{port}"));
    assert_eq!(ask(&probe, address.port()).await, HEALTHY);
}

#[tokio::test]
async fn what_is_no_address_is_the_reason() {
    let probe = TcpProbe::to(|text: &&str| (*text).to_owned());
    let reason = ask(&probe, "127.0.0.1").await.unwrap_err();
    assert!(
        reason.starts_with("cannot connect to 127.0.0.1: invalid socket address"),
        "{reason}"
    );
}
