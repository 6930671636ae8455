//! Bodies pass as they come, as fast as they are taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::setup::{Front, answering, backend, head, rest, status, within};

#[tokio::test]
async fn a_client_that_waits_for_the_word_to_go_on_gets_it_when_a_backend_reads() {
    let address = backend(async |mut stream| {
        let head = head(&mut stream).await;
        assert!(!head.to_ascii_lowercase().contains("expect"), "{head}");
        let mut body = [0; 4];
        stream.read_exact(&mut body).await.expect("the body");
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n";
        let answer = [&answer[..], &body].concat();
        stream.write_all(&answer).await.expect("it reads");
    });
    let front = Front::start(&[address.await]).await;
    let mut stream = front.connect().await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    stream.write_all(post.as_bytes()).await.expect("it reads");
    let go_on = within("100 Continue", head(&mut stream)).await;
    assert_eq!(status(&go_on), "100");
    stream.write_all(b"body").await.expect("it reads");
    let answer = rest(&mut stream).await;
    assert!(answer.ends_with("body"), "{answer}");
}

#[tokio::test]
async fn a_client_that_waits_is_not_told_to_go_on_where_nobody_reads() {
    let front = Front::start(&[]).await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n";
    let answer = front.exchange(post).await;
    assert_eq!(status(&answer), "503", "{answer}");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let address = backend(async |mut stream| {
        let request_head = head(&mut stream).await.to_ascii_lowercase();
        assert!(
            request_head.contains("trailer: x-sum\r\n"),
            "{request_head}"
        );
        let body = head(&mut stream).await;
        assert!(body.ends_with("0\r\nx-sum: 7\r\n\r\n"), "{body}");
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-total\r\n\r\n2\r\nok\r\n0\r\nx-total: 9\r\n\r\n";
        stream.write_all(answer.as_bytes()).await.expect("it reads");
    });
    let front = Front::start(&[address.await]).await;
    let post = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\nTE: trailers\r\n\
                Connection: close, te\r\n\r\n4\r\nbody\r\n0\r\nx-sum: 7\r\n\r\n";
    let answer = front.exchange(post).await;
    assert!(answer.ends_with("0\r\nx-total: 9\r\n\r\n"), "{answer}");
    front.is_settled().await;
}

#[tokio::test]
async fn an_answer_that_nobody_takes_is_not_read_from_the_backend() {
    let written = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&written);
    let address = backend(move |mut stream| {
        let written = Arc::clone(&counted);
        async move {
            head(&mut stream).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await;
            while let Ok(some) = stream.write(&[b'x'; 8192]).await {
                written.fetch_add(some, Ordering::Relaxed);
            }
        }
    });
    let front = Front::start(&[address.await]).await;
    let mut stream = front.connect().await;
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    stream.write_all(get.as_bytes()).await.expect("it reads");
    let stands_still = async {
        let mut before = 0;
        loop {
            sleep(Duration::from_millis(200)).await;
            let now = written.load(Ordering::Relaxed);
            if now > 0 && now == before {
                break now;
            }
            before = now;
        }
    };
    // What the sockets take, and no more.
    let taken = within("a stand-still", stands_still).await;
    assert!(taken < 64 << 20, "{taken}");
    assert_eq!(front.in_flight(), 1);
    drop(stream);
    front.is_settled().await;
}

#[tokio::test]
async fn connections_to_backends_are_used_again() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let address = backend(move |mut stream| {
        counted.fetch_add(1, Ordering::Relaxed);
        async move {
            while !head(&mut stream).await.is_empty() {
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                stream.write_all(answer).await.expect("it reads");
            }
        }
    });
    let front = Front::start(&[address.await]).await;
    for _ in 0..5 {
        assert_eq!(status(&front.get().await), "200");
        front.is_settled().await;
    }
    assert_eq!(connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn answers_without_a_body_end_their_requests() {
    let answers = [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
    ];
    for answer in answers {
        let (address, _) = answering(answer).await;
        let front = Front::start(&[address]).await;
        let got = front.get().await;
        assert_eq!(status(&got), &answer[9..12], "{got}");
        front.is_settled().await;
    }
    let (address, _) = answering("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n").await;
    let front = Front::start(&[address]).await;
    let request = "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let got = front.exchange(request).await;
    assert!(got.contains("content-length: 7\r\n"), "{got}");
    front.is_settled().await;
}
