//! A pool that follows a name: addresses come and go, the name is gone for a while.
//!
//! The name server is a small one in this process, so that nothing else is needed. With the one of
//! your system it is `Dns::new("api.example.com", 8080)?`, and nothing more.
//!
//! ```text
//! cargo run --example dns_discovery --features dns
//! ```

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evenkeel::Pool;
use evenkeel::discover::Follow;
use evenkeel::discover::dns::{Dns, IpFamily};
use evenkeel::http::Address;
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{RData, Record};
use tokio::net::UdpSocket;

/// The last numbers of the addresses 10.0.0.x that the name has.
type Zone = Arc<Mutex<Vec<u8>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let zone = Zone::default();
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let server = socket.local_addr()?;
    tokio::spawn(serve(socket, Arc::clone(&zone)));

    let dns = Dns::new("api.example.com", 8080)?
        .name_server(server)?
        .ip_family(IpFamily::V4)
        // The records have a TTL of 0. By default they would be asked for every 5 seconds.
        .ttl_within(Duration::from_millis(100), Duration::from_secs(60))?;
    let pool = Pool::<Address>::new();
    let mut events = pool.events();
    let _feeding = Follow::new(dns).spawn(&pool);

    for (what, addresses) in [
        ("two addresses", &[1, 2][..]),
        ("another one, in another order", &[3, 2, 1]),
        ("one has left", &[3, 1]),
        ("the name is gone, which is not believed", &[]),
        ("it is back", &[1, 4]),
    ] {
        *zone.lock().unwrap() = addresses.to_vec();
        tokio::time::sleep(Duration::from_millis(500)).await;
        println!("{what}:");
        for backend in pool.list() {
            println!("  {}", backend.id());
        }
        println!("  {}", pool.status().sources()[0]);
    }

    println!("what has happened:");
    while let Some(event) = events.try_next() {
        println!("  {event}");
    }
    Ok(())
}

/// Answers whatever is asked with what stands in the zone.
async fn serve(socket: UdpSocket, zone: Zone) -> std::io::Result<()> {
    let mut buffer = [0; 1500];
    loop {
        let (length, from): (usize, SocketAddr) = socket.recv_from(&mut buffer).await?;
        let Ok(mut message) = Message::from_vec(&buffer[..length]) else {
            continue;
        };
        message.metadata.message_type = MessageType::Response;
        if let Some(name) = message.queries.first().map(|query| query.name().clone()) {
            for &last in zone.lock().unwrap().iter() {
                let address = RData::A(Ipv4Addr::new(10, 0, 0, last).into());
                message.add_answer(Record::from_rdata(name.clone(), 0, address));
            }
        }
        if message.answers.is_empty() {
            message.metadata.response_code = ResponseCode::NXDomain;
        }
        if let Ok(bytes) = message.to_vec() {
            socket.send_to(&bytes, from).await?;
        }
    }
}
