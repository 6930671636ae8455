//! HTTP/1.1 as far as it is needed.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Starts a server that answers with its number.
pub(super) async fn serve(number: usize) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, number));
        }
    });
    address
}

async fn answer(stream: TcpStream, number: usize) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        if line == "\r\n" {
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{number}");
            if stream.write_all(answer.as_bytes()).await.is_err() {
                return;
            }
        }
        line.clear();
    }
}

/// One connection that is kept alive.
pub(super) struct Client(BufReader<TcpStream>);

impl Client {
    /// Waits until somebody listens.
    pub(super) async fn connect(address: SocketAddr) -> Self {
        for _ in 0..600 {
            if let Ok(stream) = TcpStream::connect(address).await {
                stream.set_nodelay(true).unwrap();
                return Self(BufReader::new(stream));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nobody listens at {address}");
    }

    /// Returns the number of the server that answers.
    pub(super) async fn ask(&mut self) -> usize {
        let request = b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n";
        self.0.write_all(request).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let read = self.0.read_line(&mut head).await.unwrap();
            assert!(read > 0, "the connection ended: {head}");
        }
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let mut body = [0];
        self.0.read_exact(&mut body).await.unwrap();
        usize::from(body[0] - b'0')
    }
}
