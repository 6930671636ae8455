//! One client's connection.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection to a proxy, kept open. It speaks just enough of HTTP/1.1 to cost little: it asks for
/// `/`, and it wants answers that say their length.
pub(crate) struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    read: Vec<u8>,
    usable: bool,
}

/// The head of an answer.
struct Head {
    length: usize,
    status: u16,
    /// Of the body; `None` where it is not said.
    body: Option<usize>,
    closes: bool,
    backend: Box<str>,
}

const HEADERS: usize = 32;
const MOST: usize = 1 << 20;

impl Connection {
    pub(crate) async fn open(proxy: SocketAddr) -> Result<Self, String> {
        let connecting = TcpStream::connect(proxy).await;
        let stream = connecting.map_err(|error| format!("connecting: {}", error.kind()))?;
        stream
            .set_nodelay(true)
            .map_err(|error| format!("connecting: {}", error.kind()))?;
        Ok(Self {
            stream,
            request: format!("GET / HTTP/1.1\r\nHost: {proxy}\r\n\r\n").into_bytes(),
            read: Vec::with_capacity(4096),
            usable: true,
        })
    }

    /// Whether it can be asked again: nothing went wrong, and the proxy has not closed it.
    pub(crate) fn is_open(&self) -> bool {
        let mut byte = [0];
        let nothing = |error: std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        self.usable && self.stream.try_read(&mut byte).is_err_and(nothing)
    }

    /// Whether nothing went wrong yet, and the proxy has not said that it closes.
    pub(crate) fn may_stay(&self) -> bool {
        self.usable
    }

    /// Asks once, and returns which backend answered.
    ///
    /// # Errors
    ///
    /// Why the request counts as failed. It may be dropped before its end; the connection is not
    /// usable then.
    pub(crate) async fn ask(&mut self) -> Result<Box<str>, String> {
        self.usable = false;
        let (backend, usable) = self.exchange().await?;
        self.usable = usable;
        Ok(backend)
    }

    async fn exchange(&mut self) -> Result<(Box<str>, bool), String> {
        let sent = self.stream.write_all(&self.request).await;
        sent.map_err(|error| format!("sending: {}", error.kind()))?;
        self.read.clear();
        let head = loop {
            self.more("before the head's end").await?;
            if let Some(head) = head(&self.read)? {
                break head;
            }
        };
        if head.status != 200 {
            return Err(format!("status {}", head.status));
        }
        let body = head.body.ok_or("an answer of unknown length")?;
        while self.read.len() < head.length + body {
            self.more("within the body").await?;
        }
        if self.read.len() > head.length + body {
            return Err("more than was said".into());
        }
        Ok((head.backend, !head.closes))
    }

    async fn more(&mut self, place: &str) -> Result<(), String> {
        if self.read.len() > MOST {
            return Err("too long an answer".into());
        }
        match self.stream.read_buf(&mut self.read).await {
            Ok(0) => Err(format!("closed {place}")),
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{} {place}", error.kind())),
        }
    }
}

fn head(read: &[u8]) -> Result<Option<Head>, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response
        .parse(read)
        .map_err(|error| format!("not HTTP: {error}"))?
    else {
        return Ok(None);
    };
    let mut head = Head {
        length,
        status: response.code.unwrap_or(0),
        body: None,
        closes: false,
        backend: "".into(),
    };
    for header in response.headers {
        let value = || str::from_utf8(header.value).unwrap_or("");
        if header.name.eq_ignore_ascii_case("content-length") {
            head.body = value().parse().ok();
        } else if header.name.eq_ignore_ascii_case("connection") {
            head.closes = value().eq_ignore_ascii_case("close");
        } else if header.name.eq_ignore_ascii_case("x-backend") {
            head.backend = value().into();
        }
    }
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::net::TcpListener;

    use super::*;

    /// What a client says of a proxy that answers these bytes to each request and then closes.
    async fn asked(answers: &[&'static str]) -> (Result<Box<str>, String>, bool) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let answers = answers.to_owned();
        let proxy = async move {
            let (mut stream, _peer) = listener.accept().await.unwrap();
            for answer in answers {
                let mut request = [0; 1024];
                let _ = stream.read(&mut request).await.unwrap();
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        let client = async move {
            let mut connection = Connection::open(address).await.unwrap();
            let answer = connection.ask().await;
            (answer, connection.may_stay())
        };
        let ((), asked) = tokio::join!(proxy, client);
        asked
    }

    #[tokio::test]
    async fn a_whole_answer_says_who_gave_it() {
        let answer = "HTTP/1.1 200 OK\r\nx-backend: b\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(asked(&[answer]).await, (Ok("b".into()), true));
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_counts_as_failed() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok";
        let failed = Err("closed within the body".into());
        assert_eq!(asked(&[answer]).await, (failed, false));
    }

    #[tokio::test]
    async fn a_body_whose_end_nobody_can_know_counts_as_failed() {
        let answer = "HTTP/1.1 200 OK\r\n\r\nok";
        let failed = Err("an answer of unknown length".into());
        assert_eq!(asked(&[answer]).await, (failed, false));
    }

    #[tokio::test]
    async fn a_gateways_error_counts_as_failed() {
        let answer = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(asked(&[answer]).await, (Err("status 502".into()), false));
    }

    #[tokio::test]
    async fn a_connection_that_closes_counts_as_failed() {
        let failed = Err("closed before the head's end".into());
        assert_eq!(asked(&[""]).await, (failed, false));
    }

    #[tokio::test]
    async fn a_connection_that_will_close_is_not_used_again() {
        let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(asked(&[answer]).await, (Ok("".into()), false));
    }
}
