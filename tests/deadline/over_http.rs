//! Deadlines that come with HTTP requests, and go on with them.

use std::future::{pending, ready};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use evenkeel::Pool;
use evenkeel::deadline::{Deadline, DeadlineExceeded, DeadlineLayer};
use evenkeel::http::{
    BalanceLayer, ByMethod, HttpDeadline, HttpResponses, ReplayBody, ReplayLayer, error_of,
};
use evenkeel::picker::Ordered;
use evenkeel::retry::RetryLayer;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use tokio::time::{Instant, sleep};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};

type Sent = Request<ReplayBody<Full<Bytes>>>;
type Plain = Request<Full<Bytes>>;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// What an attempt was told: by the header, and by the extension.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    header: Option<String>,
    left: Option<Duration>,
}

fn told<B>(request: &Request<B>) -> Told {
    let header = request.headers().get("grpc-timeout");
    let extension = request.extensions().get::<Deadline>();
    Told {
        header: header.map(|value| value.to_str().unwrap().to_owned()),
        left: extension.map(|deadline| deadline.left()),
    }
}

fn builder() -> http::request::Builder {
    Request::put("http://shop.example/")
}

fn request(builder: http::request::Builder) -> Plain {
    builder.body(Full::new(Bytes::new())).unwrap()
}

/// Each attempt takes 100 ms, and fails. With a layer, or as the request comes.
async fn attempts(layer: Option<DeadlineLayer<HttpDeadline>>, request: Plain) -> (Vec<Told>, u64) {
    let (began, log) = (Instant::now(), Arc::<Mutex<Vec<Told>>>::default());
    let got = Arc::clone(&log);
    let client = service_fn(move |request: Sent| {
        got.lock().unwrap().push(told(&request));
        async {
            sleep(ms(100)).await;
            Err::<Response<String>, _>(io::Error::from(io::ErrorKind::ConnectionReset))
        }
    });
    let addresses = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
    let pool = Pool::of_addresses(addresses).unwrap();
    let service = ServiceBuilder::new()
        .option_layer(layer)
        .layer(ReplayLayer::new())
        .layer(RetryLayer::new(ByMethod::new()))
        .layer(BalanceLayer::new(pool, Ordered::new()))
        .service(client);
    let error = service.map_err(BoxError::from).oneshot(request).await;
    assert!(error.is_err());
    let told = log.lock().unwrap().clone();
    (told, began.elapsed().as_millis() as u64)
}

fn header(nanos: u64) -> String {
    let (unit, number) = match nanos {
        ..100_000_000 => ("n", nanos),
        _ => ("u", nanos / 1000),
    };
    format!("{number}{unit}")
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_told_how_much_time_is_left() {
    let inherits = || Some(DeadlineLayer::inherited(HttpDeadline));
    let sets = || Some(DeadlineLayer::new(ms(150)).carried(HttpDeadline));
    let grpc = || builder().header("content-type", "application/grpc");
    let far = || Deadline::after(Duration::from_secs(60));
    // The layer, the request; whether there is a header, an extension.
    let all = [
        (
            inherits(),
            builder().header("grpc-timeout", "150m"),
            true,
            true,
        ),
        (None, builder().header("grpc-timeout", "150m"), true, false),
        (
            inherits(),
            grpc().header("grpc-timeout", "150m"),
            true,
            true,
        ),
        (
            None,
            builder().extension(Deadline::after(ms(150))),
            false,
            true,
        ),
        (sets(), builder(), false, true),
        (sets(), grpc(), true, true),
        (sets(), builder().header("grpc-timeout", "60S"), true, true),
        (sets(), builder().extension(far()), false, true),
        (
            None,
            builder().header("grpc-timeout", "150m").extension(far()),
            true,
            true,
        ),
        (
            None,
            builder()
                .header("grpc-timeout", "60S")
                .extension(Deadline::after(ms(150))),
            true,
            true,
        ),
    ];
    for (at, (layer, builder, has_header, has_extension)) in all.into_iter().enumerate() {
        let mut builder = builder;
        if let Some(deadline) = builder.extensions_mut().and_then(|all| all.get_mut())
            && *deadline < Deadline::after(ms(1000))
        {
            *deadline = Deadline::after(ms(150));
        }
        let (told, took) = attempts(layer, request(builder)).await;
        assert_eq!(took, 150, "case {at}");
        let expected = [150, 50].map(|left| Told {
            header: has_header.then(|| header(left * 1_000_000)),
            left: has_extension.then(|| ms(left)),
        });
        assert_eq!(told, expected, "case {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_deadline_nothing_is_told() {
    let inherits = || Some(DeadlineLayer::inherited(HttpDeadline));
    let grpc = builder().header("content-type", "application/grpc");
    let (all, _) = attempts(inherits(), request(grpc)).await;
    let nothing = Told {
        header: None,
        left: None,
    };
    assert_eq!(all, [nothing.clone(), nothing.clone(), nothing]);
    let (all, _) = attempts(
        inherits(),
        request(builder().header("grpc-timeout", "soon")),
    )
    .await;
    assert_eq!(all.len(), 3);
    assert!(
        all.iter()
            .all(|told| told.header.as_deref() == Some("soon"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_too_late_is_not_sent() {
    for layer in [Some(DeadlineLayer::inherited(HttpDeadline)), None] {
        for builder in [
            builder().header("grpc-timeout", "0n"),
            builder().extension(Deadline::after(ms(0))),
        ] {
            let (told, took) = attempts(layer, request(builder)).await;
            assert_eq!((told, took), (vec![], 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn as_a_response_it_is_504() {
    let hangs = || service_fn(|_request: Sent| pending::<io::Result<Response<String>>>());
    let pool = || Pool::of_addresses(["10.0.0.1:80", "10.0.0.2:80"]).unwrap();
    let balance = || BalanceLayer::new(pool(), Ordered::new()).layer(hangs());

    let by_layer = ServiceBuilder::new()
        .layer(DeadlineLayer::new(ms(100)))
        .layer(ReplayLayer::new())
        .layer(RetryLayer::new(ByMethod::new()))
        .service(balance());
    let response = HttpResponses::new(by_layer)
        .oneshot(request(builder()))
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);

    for attempt_timeout in [1000, 70] {
        let retry = RetryLayer::new(ByMethod::new()).total_time(ms(100));
        let balance = balance().attempt_timeout(ms(attempt_timeout));
        let service = ServiceBuilder::new()
            .layer(ReplayLayer::new())
            .layer(retry)
            .service(balance);
        let response = HttpResponses::new(service)
            .oneshot(request(builder()))
            .await
            .unwrap();
        assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
        let error = error_of(&response)
            .unwrap()
            .downcast_ref::<evenkeel::Error>();
        assert!(error.unwrap().is_deadline_exceeded());
    }
}

/// The layer is for any service whose error is a box.
#[tokio::test(start_paused = true)]
async fn around_any_service_it_is_504_as_well() {
    let hangs = service_fn(|_request: Plain| pending::<Result<Response<String>, BoxError>>());
    let service = HttpResponses::new(DeadlineLayer::new(ms(100)).layer(hangs));
    let response = service.oneshot(request(builder())).await.unwrap();
    assert_eq!(response.status(), StatusCode::GATEWAY_TIMEOUT);
    assert!(error_of(&response).unwrap().is::<DeadlineExceeded>());
}

#[tokio::test(start_paused = true)]
async fn what_is_told_is_never_longer_than_what_there_is() {
    for sent in [
        "1n",
        "99999999n",
        "100m",
        "99999999u",
        "7S",
        "3M",
        "99999999H",
    ] {
        let inner = service_fn(|request: Plain| ready(Ok::<_, BoxError>(told(&request))));
        let service = DeadlineLayer::inherited(HttpDeadline).layer(inner);
        let asked = request(builder().header("grpc-timeout", sent));
        let told = service.oneshot(asked).await.unwrap();
        let header = told.header.unwrap();
        assert!(header.len() <= 9, "{header}");
        assert!(told.left.is_some());
    }
}
