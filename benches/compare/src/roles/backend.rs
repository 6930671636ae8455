//! A backend that costs as little as it can, so that the proxy is what is measured.
//!
//! It answers every request with 1 KiB, the same bytes each time, and says in `X-Backend` by which
//! of its addresses it was asked. It reads no more of a request than where its head ends, so it is
//! for requests without a body.

use std::net::SocketAddr;

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::accept;

const BODY: usize = 1024;

/// Listens on these addresses and never returns.
pub(crate) async fn serve(addresses: Vec<SocketAddr>) -> Result<()> {
    let mut serving = JoinSet::new();
    for address in addresses {
        let listener = TcpListener::bind(address).await?;
        let answer: &'static [u8] = answer(address).leak();
        serving.spawn(async move {
            loop {
                let (stream, _peer) = accept(&listener).await;
                let _ = stream.set_nodelay(true);
                tokio::spawn(connection(stream, answer));
            }
        });
    }
    serving.join_all().await;
    Ok(())
}

fn answer(address: SocketAddr) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Backend: {address}\r\n\
         Content-Length: {BODY}\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + BODY, b'x');
    answer
}

async fn connection(mut stream: TcpStream, answer: &[u8]) {
    let mut asked = [0; 4096];
    let mut length = 0;
    loop {
        match stream.read(&mut asked[length..]).await {
            // Zero also where a head is longer than there is room for.
            Ok(0) | Err(_) => return,
            Ok(read) => length += read,
        }
        if !asked[..length].ends_with(b"\r\n\r\n") {
            continue;
        }
        length = 0;
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}
