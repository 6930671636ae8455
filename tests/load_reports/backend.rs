//! What a backend says of itself, and that it counts right.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use axum::routing;
use evenkeel::http::load_reports::{Format, HEADER, ReportLoadLayer, parse};
use evenkeel::load::{LoadMeter, LoadReport};
use http_body_util::BodyExt;
use tokio::sync::Notify;
use tokio_stream::StreamExt;
use tower::{Layer, ServiceExt, service_fn};

use crate::setup::{HttpClient, get, http_client, serve, until};

/// A server that reports, and a client that asks it.
struct Setup {
    meter: LoadMeter,
    client: HttpClient,
    server: SocketAddr,
}

impl Setup {
    async fn new(app: Router) -> Self {
        let meter = LoadMeter::new();
        Self::with(app, meter.clone(), ReportLoadLayer::new(meter)).await
    }

    async fn with(app: Router, meter: LoadMeter, layer: ReportLoadLayer) -> Self {
        Self {
            meter,
            client: http_client(),
            server: serve(app.layer(layer)).await,
        }
    }

    async fn ask(&self, method: Method, path: &str) -> Response<hyper::body::Incoming> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.server))
            .body(Body::empty());
        self.client.request(request.unwrap()).await.unwrap()
    }

    async fn is_idle(&self) {
        until(|| self.meter.in_flight() == 0).await;
    }
}

fn report(headers: &HeaderMap) -> LoadReport {
    parse(headers).expect("a valid report").expect("a report")
}

/// A body whose first part comes at once, and no other.
fn endless() -> Body {
    let first = tokio_stream::once(Ok::<_, Infallible>("first"));
    Body::from_stream(first.chain(tokio_stream::pending()))
}

#[tokio::test]
async fn each_response_reports_and_its_own_request_is_one_of_those_in_flight() {
    let app = Router::new().route("/", routing::get(async || "hello"));
    for format in [Format::Text, Format::Json] {
        let meter = LoadMeter::new().capacity(4).unwrap();
        meter.set_cpu_utilization(0.25);
        let layer = ReportLoadLayer::new(meter.clone()).format(format);
        let setup = Setup::with(app.clone(), meter, layer).await;
        let response = setup.ask(Method::GET, "/").await;
        let written = format!("{format:?}").to_uppercase();
        assert!(
            response.headers()[HEADER]
                .to_str()
                .unwrap()
                .starts_with(&written)
        );
        let report = report(response.headers());
        assert_eq!(report.in_flight(), Some(1));
        assert_eq!(report.application_utilization(), Some(0.25));
        assert_eq!(report.cpu_utilization(), Some(0.25));
        assert!(report.requests_per_second() > Some(0.0));
        assert_eq!(report.errors_per_second(), Some(0.0));
        assert!(report.latency().is_some());
        response.into_body().collect().await.unwrap();
        setup.is_idle().await;
    }
}

#[tokio::test]
async fn a_request_is_in_flight_until_its_body_has_ended() {
    let go_on = Arc::new(Notify::new());
    let held = {
        let go_on = Arc::clone(&go_on);
        async move || {
            let parts = tokio_stream::iter(["first", "second"]).then(move |part| {
                let go_on = Arc::clone(&go_on);
                async move {
                    if part == "second" {
                        go_on.notified().await;
                    }
                    Ok::<_, Infallible>(part)
                }
            });
            Body::from_stream(parts)
        }
    };
    let setup = Setup::new(Router::new().route("/", routing::get(held))).await;
    let response = setup.ask(Method::GET, "/").await;
    assert_eq!(setup.meter.in_flight(), 1);
    go_on.notify_one();
    let body = response.into_body().collect().await.unwrap();
    assert_eq!(body.to_bytes(), "firstsecond");
    setup.is_idle().await;
}

#[tokio::test]
async fn a_body_that_the_client_drops_ends_its_request() {
    let setup = Setup::new(Router::new().route("/", routing::get(async || endless()))).await;
    let responses = [
        setup.ask(Method::GET, "/").await,
        setup.ask(Method::GET, "/").await,
    ];
    assert_eq!(setup.meter.in_flight(), 2);
    drop(responses);
    setup.is_idle().await;
}

#[tokio::test]
async fn a_handler_that_is_cancelled_ends_its_request_and_is_no_answer() {
    let app = Router::new().route("/", routing::get(async || pending::<&str>().await));
    let setup = Setup::new(app).await;
    let mut asking = Box::pin(setup.ask(Method::GET, "/"));
    let begun = async { until(|| setup.meter.in_flight() == 1).await };
    tokio::select! {
        _ = &mut asking => panic!("it never answers"),
        () = begun => {}
    }
    drop(asking);
    setup.is_idle().await;
    assert_eq!(setup.meter.report().latency(), None);
    assert_eq!(setup.meter.report().errors_per_second(), Some(0.0));
}

#[tokio::test]
async fn a_handler_that_panics_ends_its_request() {
    let app = Router::new().route(
        "/",
        routing::get(async || -> &str { panic!("as it should") }),
    );
    let setup = Setup::new(app).await;
    let uri = format!("http://{}/", setup.server).parse().unwrap();
    assert!(setup.client.get(uri).await.is_err());
    setup.is_idle().await;
}

#[tokio::test]
async fn bodies_that_are_empty_or_not_sent_end_at_once() {
    let app = Router::new()
        .route("/nothing", routing::get(async || StatusCode::NO_CONTENT))
        .route("/text", routing::get(async || "hello"));
    let setup = Setup::new(app).await;
    let nothing = setup.ask(Method::GET, "/nothing").await;
    let head = setup.ask(Method::HEAD, "/text").await;
    setup.is_idle().await;
    assert_eq!(report(nothing.headers()).in_flight(), Some(1));
    assert_eq!(report(head.headers()).in_flight(), Some(1));
}

#[tokio::test]
async fn statuses_from_500_are_errors_and_others_are_not() {
    let app = Router::new()
        .route(
            "/broken",
            routing::get(async || StatusCode::INTERNAL_SERVER_ERROR),
        )
        .route(
            "/busy",
            routing::get(async || StatusCode::SERVICE_UNAVAILABLE),
        )
        .route("/bad", routing::get(async || StatusCode::BAD_REQUEST));
    let setup = Setup::new(app).await;
    for path in ["/broken", "/busy", "/bad", "/nowhere"] {
        setup.ask(Method::GET, path).await;
    }
    setup.is_idle().await;
    let report = setup.meter.report();
    let share = report.errors_per_second().unwrap() / report.requests_per_second().unwrap();
    assert!((share - 0.5).abs() < 1e-9, "{report:?}");
}

#[tokio::test]
async fn an_error_of_the_service_is_one_too() {
    let meter = LoadMeter::new();
    let broken = service_fn(async |_request: Request<Body>| {
        Err::<Response<Body>, _>(std::io::Error::from(std::io::ErrorKind::BrokenPipe))
    });
    let service = ReportLoadLayer::new(meter.clone()).layer(broken);
    assert!(service.oneshot(get("/")).await.is_err());
    let report = meter.report();
    assert_eq!(report.in_flight(), Some(0));
    assert_eq!(report.errors_per_second(), report.requests_per_second());
    assert!(report.errors_per_second() > Some(0.0));
}

#[tokio::test]
async fn a_report_from_further_behind_is_replaced() {
    let app = Router::new().route(
        "/",
        routing::get(async || ([(HEADER, "TEXT eps=77")], "hello")),
    );
    let setup = Setup::new(app).await;
    let response = setup.ask(Method::GET, "/").await;
    assert_eq!(response.headers().get_all(HEADER).iter().count(), 1);
    assert_eq!(report(response.headers()).errors_per_second(), Some(0.0));
}
