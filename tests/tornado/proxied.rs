//! The example `reverse_proxy` in front of the servers.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::HeaderName;
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use super::client::{Ask, counts, frame, get, http_client, request, server_of, text, within};
use super::example::Proxy;
use super::server::{SLOW, Server, three};

fn addresses(servers: &[Server]) -> Vec<String> {
    let addresses = servers.iter().map(|server| server.address.clone());
    addresses.collect()
}

fn asking(proxy: &Proxy) -> Ask {
    let (client, url) = (http_client(), proxy.url("/"));
    Arc::new(move || {
        let response = client.request(request(&url));
        Box::pin(async { text(response.await.expect("an answer")).await })
    })
}

#[tokio::test]
async fn weights_give_their_shares_through_the_proxy() {
    let Some([a, b, c]) = three(0.0).await else {
        return;
    };
    let backends = [
        format!("{}=3", a.address),
        format!("{}=2", b.address),
        c.address.clone(),
    ];
    let proxy = Proxy::start("weighted-round-robin", &backends).await;
    assert_eq!(counts(60, 6, asking(&proxy)).await, [30, 20, 10]);
}

#[tokio::test]
async fn a_slow_server_gets_fewer_requests_through_the_proxy() {
    let Some(servers) = three(SLOW).await else {
        return;
    };
    for picker in ["least-requests", "least-response-time"] {
        let proxy = Proxy::start(picker, &addresses(&servers)).await;
        let [a, b, slow] = counts(240, 8, asking(&proxy)).await;
        assert!(slow < 40, "{picker}: {a}, {b}, {slow}");
    }
}

#[tokio::test]
async fn a_user_stays_with_a_server_and_all_servers_have_users() {
    let Some(servers) = three(0.0).await else {
        return;
    };
    let options = ["--picker", "maglev", "--key", "cookie:user,header:x-user"];
    let proxy = Proxy::start_with(&options, &addresses(&servers)).await;
    let client = http_client();
    let ask = async |header: &str, value: String| {
        let mut request = request(&proxy.url("/"));
        let value = value.parse().expect("a header value");
        let name: HeaderName = header.parse().expect("a header name");
        request.headers_mut().insert(name, value);
        let response = within("an answer", client.request(request)).await;
        server_of(&response.expect("an answer"))
    };
    let mut seen = BTreeSet::new();
    for user in 0..30 {
        let by_header = ask("x-user", format!("u{user}")).await;
        for _ in 0..3 {
            let by_cookie = ask("cookie", format!("a=b; user=u{user}")).await;
            assert_eq!(by_cookie, by_header, "user {user}");
        }
        seen.insert(by_header);
    }
    assert_eq!(seen.len(), 3, "of 30 users: {seen:?}");
}

#[tokio::test]
async fn host_and_the_clients_address_reach_the_server_and_hop_by_hop_headers_do_not() {
    let Some(server) = Server::start("a", 0.0).await else {
        return;
    };
    let proxy = Proxy::start("round-robin", &[&server.address]).await;

    let request = Request::get(proxy.url("/headers"))
        .header("host", "shop.example")
        .header("x-kept", "yes")
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-forwarded-for", "203.0.113.8")
        .header("x-real-ip", "203.0.113.9")
        .header("connection", "x-hop, keep-alive")
        .header("x-hop", "1")
        .header("keep-alive", "timeout=5")
        .header("proxy-authorization", "Basic c2VjcmV0")
        .header("te", "trailers")
        .header("upgrade", "h2c")
        .body(http_body_util::Empty::new())
        .expect("a request");
    let response = within("an answer", http_client().request(request)).await;
    let response = response.expect("an answer");

    for name in ["connection", "x-internal", "keep-alive"] {
        assert!(!response.headers().contains_key(name), "{name}");
    }
    let mut seen: Vec<String> = text(response)
        .await
        .lines()
        .map(str::to_ascii_lowercase)
        .collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        [
            "host: shop.example",
            "te: trailers",
            "via: 1.1 evenkeel",
            "x-forwarded-for: 203.0.113.7, 203.0.113.8, 127.0.0.1",
            "x-forwarded-host: shop.example",
            "x-forwarded-proto: http",
            "x-kept: yes",
            "x-real-ip: 127.0.0.1",
        ]
    );
}

#[tokio::test]
async fn a_name_in_the_request_line_is_believed_over_the_host_header() {
    let Some(server) = Server::start("a", 0.0).await else {
        return;
    };
    let proxy = Proxy::start("round-robin", &[&server.address]).await;
    let mut stream = TcpStream::connect(proxy.address())
        .await
        .expect("it listens");
    let request = "GET http://shop.example/headers HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n";
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");

    let mut response = String::new();
    let read = stream.read_to_string(&mut response);
    within("the response", read).await.expect("text");
    assert!(response.contains("Host: shop.example\n"), "{response}");
    assert!(!response.contains("other.example"), "{response}");
}

#[tokio::test]
async fn bodies_stream_both_ways_while_they_are_being_sent() {
    const PIECE: usize = 64 * 1024;
    const HALF: usize = 64 * PIECE;

    let Some(server) = Server::start("a", 0.0).await else {
        return;
    };
    let proxy = Proxy::start("round-robin", &[&server.address]).await;
    let sent: Vec<u8> = (0..2 * HALF).map(|_| fastrand::u8(..)).collect();

    let (body, pieces) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let (half_is_back, go_on) = oneshot::channel();
    let (first, second) = (sent[..HALF].to_vec(), sent[HALF..].to_vec());
    tokio::spawn(async move {
        for piece in first.chunks(PIECE) {
            let piece = Bytes::copy_from_slice(piece);
            body.send(Ok(Frame::data(piece))).await.expect("it is read");
        }
        go_on.await.expect("half of it comes back");
        for piece in second.chunks(PIECE) {
            let piece = Bytes::copy_from_slice(piece);
            body.send(Ok(Frame::data(piece))).await.expect("it is read");
        }
    });

    let request =
        Request::post(proxy.url("/echo")).body(StreamBody::new(ReceiverStream::new(pieces)));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.expect("a request"));
    let mut response = within("an answer", response).await.expect("an answer");

    let mut received = Vec::new();
    let mut half_is_back = Some(half_is_back);
    while let Some(frame) = within("more of the body", response.body_mut().frame()).await {
        received.extend(frame.expect("a whole body").into_data().expect("data"));
        if received.len() >= HALF
            && let Some(half_is_back) = half_is_back.take()
        {
            half_is_back.send(()).expect("the sender waits");
        }
    }
    assert!(received == sent, "{} of {}", received.len(), sent.len());
}

#[tokio::test]
async fn a_server_with_an_open_stream_gets_no_requests_until_it_ends() {
    let Some(servers) = three(0.0).await else {
        return;
    };
    let proxy = Proxy::start("exact-least-requests", &addresses(&servers)).await;

    let mut stream = get(&proxy.url("/held")).await;
    assert_eq!(frame(&mut stream).await, "begin\n");
    let holder = server_of(&stream);
    let client = http_client();
    for _ in 0..20 {
        let response = client.request(request(&proxy.url("/"))).await;
        assert_ne!(text(response.expect("an answer")).await, holder);
    }

    for server in &servers {
        server.release().await;
    }
    assert_eq!(text(stream).await, "end\n");
    let asked_again = async { while text(get(&proxy.url("/")).await).await != holder {} };
    within("a request for the server that is free again", asked_again).await;
}

#[tokio::test]
async fn a_stopped_server_is_a_502_for_the_client_and_named_on_stderr() {
    let Some(mut server) = Server::start("a", 0.0).await else {
        return;
    };
    let mut proxy = Proxy::start("round-robin", &[&server.address]).await;
    server.stop().await;

    let response = get(&proxy.url("/")).await;
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(text(response).await, "Bad Gateway");

    let complaint = proxy.complaint().await;
    let named = format!("backend {} failed: ", server.address);
    assert!(
        complaint.starts_with("502 Bad Gateway: all 3 attempts failed"),
        "{complaint}"
    );
    assert!(complaint.contains(&named), "{complaint}");
    assert!(complaint.contains("refused"), "{complaint}");
}

#[tokio::test]
async fn a_server_that_stops_within_its_response_breaks_it_off_and_is_named_on_stderr() {
    let Some(mut server) = Server::start("a", 0.0).await else {
        return;
    };
    let mut proxy = Proxy::start("round-robin", &[&server.address]).await;

    let mut stream = get(&proxy.url("/held")).await;
    assert_eq!(frame(&mut stream).await, "begin\n");
    server.stop().await;
    let end = within("the end of the stream", stream.into_body().collect()).await;
    assert!(end.is_err(), "half a response must not look whole");

    let complaint = proxy.complaint().await;
    let named = format!("backend {} broke off its response: ", server.address);
    assert!(complaint.starts_with(&named), "{complaint}");
}

#[cfg(unix)]
#[tokio::test]
async fn after_ctrl_c_running_requests_finish_and_new_ones_are_refused() {
    let Some(server) = Server::start("a", 0.0).await else {
        return;
    };
    let mut proxy = Proxy::start("round-robin", &[&server.address]).await;
    let mut stream = get(&proxy.url("/held")).await;
    assert_eq!(frame(&mut stream).await, "begin\n");

    let pid = proxy.child.id().expect("it runs").to_string();
    let mut kill = std::process::Command::new("kill");
    let interrupted = kill.args(["-INT", &pid]).status();
    assert!(interrupted.expect("kill starts").success());
    let refused = async { while TcpStream::connect(proxy.address()).await.is_ok() {} };
    within("connections to be refused", refused).await;

    server.release().await;
    assert_eq!(text(stream).await, "end\n");
    let status = within("the proxy's end", proxy.child.wait()).await;
    assert!(status.expect("it was started").success());
}
