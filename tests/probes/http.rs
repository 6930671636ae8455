//! What is asked over HTTP, and which responses are well.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use evenkeel::health::{Answer, HttpProbe};
use evenkeel::http::Address;
use http_body_util::{Empty, Full};
use hyper::body::Bytes;
use hyper::header::{CONTENT_LENGTH, HOST};
use hyper::{Method, Request, Response};
use tower::{Service, service_fn};

use crate::setup::{
    Frames, HEALTHY, answering, anywhere, ask, http1_client, http1_server, http2_client,
    http2_server, nobody, unhealthy,
};

/// A server whose path is the status of the response.
async fn statuses() -> Address {
    let answer = |request: &Request<()>| {
        let status = request.uri().path().trim_start_matches('/');
        let response = Response::builder().status(status);
        response.body(Frames::data(&["a body"])).unwrap()
    };
    http1_server(answer).await.0
}

#[tokio::test]
async fn a_status_from_200_to_399_is_healthy_by_default() {
    let server = statuses().await;
    let probe = |path| HttpProbe::new(http1_client()).path(path).unwrap();
    for path in ["/200", "/204", "/302", "/399"] {
        assert_eq!(ask(&probe(path), server.clone()).await, HEALTHY, "{path}");
    }
    for (path, reason) in [
        ("/400", "status 400, expected 200 to 399"),
        ("/503", "status 503, expected 200 to 399"),
        ("/999", "status 999, expected 200 to 399"),
    ] {
        let probe = probe(path);
        assert_eq!(ask(&probe, server.clone()).await, unhealthy(reason));
    }
}

#[tokio::test]
async fn a_status_out_of_range_is_the_reason() {
    let server = statuses().await;
    let probe = HttpProbe::new(http1_client()).path("/204").unwrap();
    let probe = probe.expect_status(200..=203).unwrap();
    assert_eq!(
        ask(&probe, server.clone()).await,
        unhealthy("status 204, expected 200 to 203")
    );
    let probe = probe.expect_status(404..=404).unwrap();
    assert_eq!(
        ask(&probe, server.clone()).await,
        unhealthy("status 204, expected 200 to 203 or 404")
    );
    let probe = probe.expect_status(429..=430).unwrap();
    assert_eq!(
        ask(&probe, server.clone()).await,
        unhealthy("status 204, expected 200 to 203, 404 or 429 to 430")
    );
    let probe = probe.expect_status(204..=204).unwrap();
    assert_eq!(ask(&probe, server).await, HEALTHY);
}

#[tokio::test]
async fn a_range_takes_the_place_of_the_default() {
    let server = statuses().await;
    let probe = HttpProbe::new(http1_client()).path("/503").unwrap();
    let probe = probe.expect_status(500..=599).unwrap();
    assert_eq!(ask(&probe, server.clone()).await, HEALTHY);
    let probe = probe.path("/200").unwrap();
    assert_eq!(
        ask(&probe, server).await,
        unhealthy("status 200, expected 500 to 599")
    );
}

#[tokio::test]
async fn the_root_of_the_address_is_asked_for_by_default() {
    let (server, seen) = http1_server(|_| Response::new(Frames::none())).await;
    let probe = HttpProbe::new(http1_client());
    assert_eq!(ask(&probe, server.clone()).await, HEALTHY);

    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].method(), Method::GET);
    assert_eq!(seen[0].uri(), "/");
    assert_eq!(seen[0].headers()[HOST], server.authority());
}

#[tokio::test]
async fn method_path_host_and_headers_are_as_they_were_set() {
    let (server, seen) = http1_server(|_| Response::new(Frames::none())).await;
    let probe = HttpProbe::new(http1_client())
        .method(Method::OPTIONS)
        .path("/healthz?deep=1")
        .unwrap()
        .host("shop.example")
        .unwrap()
        .header("authorization", "Bearer secret")
        .unwrap()
        .header("x-tag", "one")
        .unwrap()
        .header("x-tag", "two")
        .unwrap();
    assert_eq!(ask(&probe, server).await, HEALTHY);

    let seen = seen.lock().unwrap();
    assert_eq!(seen[0].method(), Method::OPTIONS);
    assert_eq!(seen[0].uri(), "/healthz?deep=1");
    let headers = seen[0].headers();
    let hosts: Vec<_> = headers.get_all(HOST).iter().collect();
    assert_eq!(hosts, ["shop.example"]);
    assert_eq!(headers["authorization"], "Bearer secret");
    let tags: Vec<_> = headers.get_all("x-tag").iter().collect();
    assert_eq!(tags, ["one", "two"]);
}

#[tokio::test]
async fn a_host_header_is_the_host() {
    let (server, seen) = http1_server(|_| Response::new(Frames::none())).await;
    let probe = HttpProbe::new(http1_client())
        .host("old.example")
        .unwrap()
        .header("Host", "new.example:8080")
        .unwrap();
    assert_eq!(ask(&probe, server).await, HEALTHY);
    let seen = seen.lock().unwrap();
    let hosts: Vec<_> = seen[0].headers().get_all(HOST).iter().collect();
    assert_eq!(hosts, ["new.example:8080"]);
}

#[tokio::test]
async fn over_http2_the_authority_is_that_of_the_address() {
    let (server, seen) = http2_server(|_| Response::new(Frames::none())).await;
    let probe = HttpProbe::new(http2_client::<Empty<Bytes>>());
    let probe = probe.host("shop.example").unwrap();
    assert_eq!(ask(&probe, server.clone()).await, HEALTHY);

    let seen = seen.lock().unwrap();
    let authority = seen[0].uri().authority().unwrap();
    assert_eq!(authority.as_str(), server.authority());
    assert_eq!(seen[0].headers()[HOST], "shop.example");
}

#[tokio::test]
async fn a_client_gets_the_whole_uri_and_a_host() {
    let client = service_fn(async |request: Request<Full<Bytes>>| {
        let host = request.headers()[HOST].to_str().unwrap();
        let asked = format!("asked for {} of {host}", request.uri());
        Err::<Response<Frames>, _>(asked)
    });
    let probe = HttpProbe::new(client).path("/healthz").unwrap();
    let address = "https://shop.example:443".parse().unwrap();
    assert_eq!(
        ask(&probe, address).await,
        unhealthy(
            "no response to GET https://shop.example:443/healthz: \
             asked for https://shop.example:443/healthz of shop.example:443"
        )
    );
}

#[tokio::test]
async fn a_connection_that_is_refused_is_the_reason() {
    let (_socket, address) = nobody();
    let probe = HttpProbe::new(http1_client()).method(Method::HEAD);
    let reason = ask(&probe, address.into()).await.unwrap_err();
    let start = format!("no response to HEAD http://{address}/: ");
    assert!(reason.starts_with(&start), "{reason}");
    assert!(reason.contains("refused"), "{reason}");
}

#[tokio::test]
async fn a_header_says_that_a_backend_is_degraded() {
    let answer = |values: &'static [&'static str]| {
        move || {
            let mut response = Response::new(Frames::none());
            for value in values {
                let value = value.parse().unwrap();
                response.headers_mut().append("x-envoy-degraded", value);
            }
            response
        }
    };
    let probe = |values| {
        let probe = HttpProbe::new(answering(answer(values)));
        probe.degraded_header("X-Envoy-Degraded").unwrap()
    };
    for values in [
        &["true"][..],
        &[""],
        &["1"],
        &["2"],
        &["no"],
        &["false", "true"],
    ] {
        let answer = ask(&probe(values), anywhere()).await;
        assert_eq!(answer, Ok(Answer::Degraded), "{values:?}");
    }
    for values in [&[][..], &["false"], &["False"], &["0"], &["0", "false"]] {
        assert_eq!(ask(&probe(values), anywhere()).await, HEALTHY, "{values:?}");
    }
    let unasked = HttpProbe::new(answering(answer(&["true"])));
    assert_eq!(ask(&unasked, anywhere()).await, HEALTHY);
}

#[tokio::test]
async fn a_degraded_backend_with_a_bad_status_is_unhealthy() {
    let client = answering(|| {
        let response = Response::builder().status(500).header("degraded", "true");
        response.body(Frames::none()).unwrap()
    });
    let probe = HttpProbe::new(client).degraded_header("degraded").unwrap();
    assert_eq!(
        ask(&probe, anywhere()).await,
        unhealthy("status 500, expected 200 to 399")
    );
}

#[tokio::test]
async fn without_a_text_to_look_for_no_body_is_waited_for() {
    // The server says that there is more, and never sends it.
    let answer = |_: &Request<()>| {
        let response = Response::builder().header(CONTENT_LENGTH, 1000);
        let body = Frames::data(&["some"]).and_hangs();
        response.body(body).unwrap()
    };
    let (server, _) = http1_server(answer).await;
    assert_eq!(ask(&HttpProbe::new(http1_client()), server).await, HEALTHY);

    let client = answering(|| Response::new(Frames::none().and_breaks_off()));
    assert_eq!(ask(&HttpProbe::new(client), anywhere()).await, HEALTHY);
}

/// Ready when asked for the second time, and only that instance.
#[derive(Default)]
struct Slow {
    polls: usize,
    broken: bool,
}

impl Clone for Slow {
    fn clone(&self) -> Self {
        Self { polls: 0, ..*self }
    }
}

impl Service<Request<Full<Bytes>>> for Slow {
    type Response = Response<Frames>;
    type Error = &'static str;
    type Future = Ready<Result<Response<Frames>, &'static str>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        self.polls += 1;
        if self.polls == 1 {
            cx.waker().wake_by_ref();
            Poll::Pending
        } else if self.broken {
            Poll::Ready(Err("it is broken"))
        } else {
            Poll::Ready(Ok(()))
        }
    }

    fn call(&mut self, _request: Request<Full<Bytes>>) -> Self::Future {
        assert_eq!(self.polls, 2, "called without being ready");
        ready(Ok(Response::new(Frames::none())))
    }
}

#[tokio::test]
async fn a_client_is_called_only_when_it_is_ready() {
    let probe = HttpProbe::new(Slow::default());
    for _ in 0..3 {
        assert_eq!(ask(&probe, anywhere()).await, HEALTHY);
    }
    let probe = HttpProbe::new(Slow {
        broken: true,
        ..Slow::default()
    });
    assert_eq!(
        ask(&probe, anywhere()).await,
        unhealthy("no response to GET http://10.0.0.1:80/: it is broken")
    );
}

#[tokio::test]
async fn a_probe_that_is_dropped_gives_up_its_request() {
    let alive = Arc::new(());
    let held = Arc::clone(&alive);
    let client = service_fn(move |_: Request<Full<Bytes>>| {
        let held = Arc::clone(&held);
        async move {
            let never = pending::<Result<Response<Frames>, Infallible>>().await;
            drop(held);
            never
        }
    });
    let probe = HttpProbe::new(client);
    let before = Arc::strong_count(&alive);
    let mut probing = Box::pin(ask(&probe, anywhere()));
    let polled = poll_once(probing.as_mut()).await;
    assert!(polled.is_pending());
    // Two more: that of the clone of the client, and that of its future.
    assert_eq!(Arc::strong_count(&alive), before + 2);
    drop(probing);
    assert_eq!(Arc::strong_count(&alive), before);
}

/// Polls a future once.
async fn poll_once<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
    std::future::poll_fn(|cx| Poll::Ready(std::pin::Pin::new(&mut future).poll(cx))).await
}
