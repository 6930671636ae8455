//! Requests that two could read in two ways. Each is a status for the client, and never two requests
//! for a backend.

use super::setup::{Front, answering, status};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";

/// What is sent, and the status. `passed` is what of it reaches a backend, if anything.
struct Shape {
    sent: &'static str,
    status: &'static str,
    passed: bool,
}

const fn refused(sent: &'static str, status: &'static str) -> Shape {
    Shape {
        sent,
        status,
        passed: false,
    }
}

const fn passed(sent: &'static str) -> Shape {
    Shape {
        sent,
        status: "200",
        passed: true,
    }
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1";

#[rustfmt::skip]
const SHAPES: &[Shape] = &[
    // Both lengths: one is read, the other not passed on, and what follows is no request.
    passed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
    passed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 47\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"),
    // Lengths.
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "400"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 2\r\n\r\nab", "400"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\na", "400"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\na", "400"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\na", "400"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\na", "400"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 1\r\n\r\na", "400"),
    // Encodings.
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", "400"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", "400"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", "400"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n", "400"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", "400"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n", "400"),
    refused("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "501"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "501"),
    // Hosts.
    refused("GET / HTTP/1.1\r\n\r\n", "400"),
    refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"),
    refused("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "400"),
    refused("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400"),
    refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400"),
    // Lines.
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", "400"),
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: 1\rGET /smuggled HTTP/1.1\r\n\r\n", "400"),
    refused("GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", "400"),
    refused("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", "400"),
    refused("GET / HTTP/1.1\r\nHost: a\r\n: no name\r\n\r\n", "400"),
    refused("GET / HTTP/1.1\r\nHost: a\r\nX(: 1\r\n\r\n", "400"),
    refused(" GET / HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    refused("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "400"),
    refused("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    refused("GET / HTTP/3.0\r\nHost: a\r\n\r\n", "400"),
    refused("GET /\r\n\r\n", "400"),
    // Targets.
    refused("GET * HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    refused("GET shop.example:80 HTTP/1.1\r\nHost: a\r\n\r\n", "400"),
    // Methods, expectations.
    refused("CONNECT other:22 HTTP/1.1\r\nHost: other:22\r\n\r\n", "501"),
    refused("TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "501"),
    refused("POST / HTTP/1.1\r\nHost: a\r\nExpect: a-miracle\r\nContent-Length: 1\r\n\r\na", "417"),
    // What only looks odd.
    passed("\r\nGET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    passed("GET / HTTP/1.0\r\n\r\n"),
    passed("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\nConnection: close\r\n\r\na"),
    passed("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\nConnection: close\r\n\r\n1;x=y\r\na\r\n0\r\n\r\n"),
    passed("GET http://other/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    passed("OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
];

#[tokio::test]
async fn what_could_be_read_in_two_ways_never_is() {
    let (address, seen) = answering(OK).await;
    let front = Front::start(&[address]).await;
    for shape in SHAPES {
        seen.lock().expect("no panic").clear();
        let answer = front.exchange(shape.sent).await;
        let sent = shape.sent;
        assert_eq!(status(&answer), shape.status, "{sent:?}: {answer}");
        let answers = answer.matches("HTTP/1.1 ").count() + answer.matches("HTTP/1.0 ").count();
        assert_eq!(answers, 1, "{sent:?}: {answer}");
        let seen = seen.lock().expect("no panic");
        assert_eq!(seen.len(), usize::from(shape.passed), "{sent:?}: {seen:?}");
        for request in seen.iter() {
            assert!(!request.contains(SMUGGLED), "{sent:?}: {request}");
            let lines = request.to_ascii_lowercase();
            let lengths = lines.matches("content-length:").count();
            let encodings = lines.matches("transfer-encoding:").count();
            assert!(lengths + encodings <= 1, "{sent:?}: {request}");
            assert_eq!(lines.matches("\r\nhost:").count(), 1, "{sent:?}: {request}");
        }
    }
    front.is_settled().await;
}

#[tokio::test]
async fn bad_chunks_are_a_400_and_the_log_says_whose_they_were() {
    let shapes = [
        "z\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "-1\r\n",
        "ffffffffffffffffff\r\n",
        "1 1\r\na\r\n",
    ];
    let (address, _) = answering(OK).await;
    let front = Front::start(&[address]).await;
    for chunk in shapes {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = front.exchange(format!("{head}{chunk}")).await;
        // The backend may have answered before the chunk was read.
        assert!(
            ["400", "200"].contains(&status(&answer)),
            "{chunk:?}: {answer}"
        );
    }
    front.is_settled().await;
    for problem in front.problems() {
        assert!(problem.starts_with("400 Bad Request: "), "{problem}");
        assert!(problem.ends_with("; POST / from 127.0.0.1"), "{problem}");
    }
    for member in front.pool.list() {
        assert_eq!(member.counts().failures(), 0, "the backend is not to blame");
    }
}

#[tokio::test]
async fn a_refusal_is_in_the_log_and_ends_the_connection() {
    let front = Front::start(&[]).await;
    let answer = front
        .exchange("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        .await;
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    assert!(answer.ends_with("Bad Request"), "{answer}");
    let told = "400 Bad Request: the request has not one valid Host; GET / from 127.0.0.1";
    assert_eq!(front.problems(), [told]);
}
