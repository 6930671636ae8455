//! Backends that make no sense: each is a clear answer to the client, and named in the log.

use std::time::Duration;

use evenkeel::http::proxy::ClientBuilder;
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::setup::{Front, Settings, answering, backend, head, status};

async fn front_of(answer: &[u8]) -> (Front, String) {
    let (address, _) = answering(answer).await;
    (Front::start(&[address]).await, address.to_string())
}

#[tokio::test]
async fn garbage_for_a_head_is_a_502() {
    let garbage: &[&[u8]] = &[
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 not what you think\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nX: 1\r\n folded\r\n\r\n",
        b"HTTP/1.1 200",
        b"",
    ];
    for answer in garbage {
        let (front, backend) = front_of(answer).await;
        let got = front.get().await;
        let what = String::from_utf8_lossy(answer);
        assert_eq!(status(&got), "502", "{what:?}: {got}");
        front.is_settled().await;
        let problems = front.problems();
        let [problem] = &problems[..] else {
            panic!("{what:?}: {problems:?}");
        };
        assert!(problem.starts_with("502 Bad Gateway: "), "{problem}");
        assert!(problem.contains(&backend), "{problem}");
    }
}

#[tokio::test]
async fn a_head_without_end_is_a_502_after_so_many_bytes() {
    let address = backend(async |mut stream| {
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").await;
        while stream.write_all(&[b'x'; 1024]).await.is_ok() {}
    });
    let client = ClientBuilder::new().max_head_bytes(8192).expect("a size");
    let settings = Settings {
        client,
        ..Settings::default()
    };
    let front = Front::start_with(&[address.await], settings).await;
    let answer = front.get().await;
    assert_eq!(status(&answer), "502", "{answer}");
    front.is_settled().await;
}

#[tokio::test]
async fn more_headers_than_anyone_needs_are_a_502() {
    let headers = "X: 1\r\n".repeat(200);
    let (front, _) = front_of(format!("HTTP/1.1 200 OK\r\n{headers}\r\n").as_bytes()).await;
    assert_eq!(status(&front.get().await), "502");
    front.is_settled().await;
}

#[tokio::test]
async fn half_a_response_is_never_taken_for_the_whole() {
    let halves: &[&[u8]] = &[
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n",
    ];
    for half in halves {
        let (front, backend) = front_of(half).await;
        let answer = front.get().await;
        assert_eq!(status(&answer), "200", "{answer}");
        let whole = answer.ends_with("0\r\n\r\n") || answer.contains("content-length: 4");
        assert!(!whole, "{answer}");
        front.is_settled().await;
        let problems = front.problems();
        let told = format!("backend {backend} broke off its response: ");
        assert!(problems[0].starts_with(&told), "{problems:?}");
        assert_eq!(front.pool.list()[0].counts().failures(), 1);
    }
}

#[tokio::test]
async fn a_response_of_which_nothing_more_comes_is_broken_off() {
    let address = backend(async |mut stream| {
        head(&mut stream).await;
        let half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf";
        stream.write_all(half).await.expect("it reads");
        sleep(Duration::from_secs(3600)).await;
    });
    let client = ClientBuilder::new().body_idle_timeout(Duration::from_millis(50));
    let settings = Settings {
        client,
        ..Settings::default()
    };
    let front = Front::start_with(&[address.await], settings).await;
    let answer = front.get().await;
    assert!(answer.ends_with("half"), "{answer}");
    front.is_settled().await;
    let problem = front.problems().remove(0);
    assert!(problem.contains("nothing more came for 50ms"), "{problem}");
}

#[tokio::test]
async fn of_two_lengths_the_one_that_counts_is_passed_on() {
    for length in [0, 5, 12, 50] {
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n\
             c\r\nhello, world\r\n0\r\n\r\n"
        );
        let (front, _) = front_of(answer.as_bytes()).await;
        let got = front.get().await;
        assert!(!got.contains("content-length"), "{length}: {got}");
        assert!(
            got.ends_with("\r\nhello, world\r\n0\r\n\r\n"),
            "{length}: {got}"
        );
        front.is_settled().await;
    }
}

#[tokio::test]
async fn a_length_that_does_not_count_ends_no_request_early() {
    let answer =
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\nc\r\nhello";
    let (front, _) = front_of(answer.as_bytes()).await;
    front.get().await;
    front.has_ended(1).await;
    assert_eq!(front.pool.list()[0].counts().failures(), 1, "it broke off");
}

#[tokio::test]
async fn a_body_in_a_code_that_nobody_was_told_of_is_a_502_and_the_backends_fault() {
    for encoding in [
        "gzip, chunked",
        "gzip",
        "chunked\r\nTransfer-Encoding: chunked",
    ] {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {encoding}\r\n\r\n0\r\n\r\n");
        let (front, _) = front_of(answer.as_bytes()).await;
        assert_eq!(status(&front.get().await), "502", "{encoding}");
        front.is_settled().await;
        assert!(front.pool.list()[0].counts().failures() > 0, "{encoding}");
    }
}

#[tokio::test]
async fn a_switch_of_protocols_that_nobody_asked_for_is_a_502() {
    for upgrade in ["", "Upgrade: websocket\r\nConnection: upgrade\r\n"] {
        let answer = format!("HTTP/1.1 101 Switching Protocols\r\n{upgrade}\r\n");
        let (front, _) = front_of(answer.as_bytes()).await;
        assert_eq!(status(&front.get().await), "502", "{upgrade}");
        front.is_settled().await;
        assert!(front.pool.list()[0].counts().failures() > 0, "{upgrade}");
    }
}

#[tokio::test]
async fn what_speaks_of_the_backends_connection_is_not_for_the_client() {
    let answer = "HTTP/1.1 200 OK\r\nConnection: x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\n\
                  Proxy-Authenticate: Basic\r\nUpgrade: h2c\r\nX-Kept: yes\r\nContent-Length: 2\r\n\r\nok";
    let (front, _) = front_of(answer.as_bytes()).await;
    let got = front.get().await;
    for gone in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert!(!got.contains(&format!("\r\n{gone}: ")), "{gone}: {got}");
    }
    assert!(got.contains("\r\nx-kept: yes\r\n"), "{got}");
}

#[tokio::test]
async fn informational_responses_are_waited_through() {
    let answer = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let (front, _) = front_of(answer.as_bytes()).await;
    let got = front.get().await;
    assert_eq!(status(&got), "200", "{got}");
    assert!(got.ends_with("ok"), "{got}");
}

#[tokio::test]
async fn nobody_is_there_and_that_is_a_503() {
    let front = Front::start(&[]).await;
    assert_eq!(status(&front.get().await), "503");
    assert!(front.problems()[0].starts_with("503 Service Unavailable: "));
}
