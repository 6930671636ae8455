use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::sleep;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Http1,
    Http2,
}

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4). No request of HTTP/1.1 begins so.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long to wait when what has come could be either: a peek does not wait for more.
const AGAIN: Duration = Duration::from_millis(5);

/// Waits for the first bytes, and leaves them where they are.
pub(super) async fn spoken(stream: &TcpStream) -> io::Result<Spoken> {
    let mut first = [0; PREFACE.len()];
    loop {
        let length = stream.peek(&mut first).await?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if first[..length] != PREFACE[..length] {
            return Ok(Spoken::Http1);
        }
        if length == PREFACE.len() {
            return Ok(Spoken::Http2);
        }
        sleep(AGAIN).await;
    }
}
