use std::io;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoken {
    Http1,
    Http2,
}

/// The first bytes of an HTTP/2 connection (RFC 9113, section 3.4). No request of HTTP/1.1 begins so.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What was read to find out, for whoever reads on.
#[derive(Debug, Default)]
pub(super) struct First {
    bytes: [u8; PREFACE.len()],
    /// Those from here on, up to there, are still to be read.
    begin: usize,
    end: usize,
}

impl First {
    /// Takes as many as there is room for.
    pub(super) fn take(&mut self, most: usize) -> &[u8] {
        let begin = self.begin;
        self.begin = self.end.min(begin.saturating_add(most));
        &self.bytes[begin..self.begin]
    }
}

/// Reads the first bytes.
pub(super) async fn spoken(stream: &mut TcpStream) -> io::Result<(Spoken, First)> {
    let mut first = First::default();
    loop {
        let read = stream.read(&mut first.bytes[first.end..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        first.end += read;
        let bytes = &first.bytes[..first.end];
        if *bytes != PREFACE[..first.end] {
            return Ok((Spoken::Http1, first));
        }
        if first.end == PREFACE.len() {
            return Ok((Spoken::Http2, first));
        }
    }
}
