//! A backend that is asked for its load.

use std::error::Error;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::routing;
use evenkeel::http::Address;
use evenkeel::http::load_reports::{HEADER, HttpLoadProbe, LoadProbeError, ReportLoadLayer, parse};
use evenkeel::load::LoadMeter;
use tokio::net::TcpSocket;
use tower::ServiceExt;

use crate::setup::{HttpClient, http_client, serve};

fn probe(path: &str) -> HttpLoadProbe<HttpClient, Body> {
    HttpLoadProbe::new(http_client(), path).unwrap()
}

#[tokio::test]
async fn a_probe_is_answered_with_a_report_and_is_no_request() {
    let meter = LoadMeter::new().capacity(10).unwrap();
    let layer = ReportLoadLayer::new(meter.clone())
        .probe_path("/load")
        .unwrap();
    let app = Router::new().route("/", routing::get(async || "hello"));
    let server = serve(app.layer(layer)).await;
    let address = Address::from(server);
    let in_flight = [(); 3].map(|()| meter.start());
    for path in ["/load", "/load?from=here"] {
        let report = probe(path).oneshot(address.clone()).await.unwrap();
        assert_eq!(report.in_flight(), Some(3));
        assert_eq!(report.application_utilization(), Some(0.3));
        assert_eq!(report.requests_per_second(), Some(0.0));
    }
    drop(in_flight);
    assert_eq!(meter.in_flight(), 0);

    // As it looks to others.
    let uri = |path: &str| format!("http://{server}{path}").parse().unwrap();
    let response = http_client().get(uri("/load")).await.unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    assert!(parse(response.headers()).unwrap().is_some());
    // Any other request is one.
    let post = Request::builder().method(Method::POST).uri(uri("/load"));
    let response = http_client()
        .request(post.body(Body::empty()).unwrap())
        .await;
    assert_eq!(response.unwrap().status(), StatusCode::NOT_FOUND);
    let response = http_client().get(uri("/load/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn without_a_path_for_it_a_probe_is_a_request() {
    let app = Router::new().route("/", routing::get(async || "hello"));
    let server = serve(app.layer(ReportLoadLayer::new(LoadMeter::new()))).await;
    let report = probe("/").oneshot(server.into()).await.unwrap();
    assert_eq!(report.in_flight(), Some(1));
}

#[tokio::test]
async fn what_is_no_answer_to_a_probe_is_an_error_that_says_why() {
    let app = Router::new()
        .route("/silent", routing::get(async || "hello"))
        .route(
            "/wrong",
            routing::get(async || ([(HEADER, "TEXT eps=-1")], "")),
        )
        .route(
            "/busy",
            routing::get(async || (StatusCode::SERVICE_UNAVAILABLE, [(HEADER, "TEXT eps=1")])),
        );
    let server = serve(app).await;
    let ask = async |path| probe(path).oneshot(server.into()).await.unwrap_err();
    let silent = ask("/silent").await;
    assert!(matches!(silent, LoadProbeError::NoReport), "{silent:?}");
    assert_eq!(silent.to_string(), "no header endpoint-load-metrics");
    let busy = ask("/busy").await;
    assert!(
        matches!(
            busy,
            LoadProbeError::Status(StatusCode::SERVICE_UNAVAILABLE)
        ),
        "{busy:?}"
    );
    assert_eq!(busy.to_string(), "status 503, expected 200 to 299");
    let wrong = ask("/wrong").await;
    assert!(matches!(wrong, LoadProbeError::Invalid(_)), "{wrong:?}");
    assert_eq!(
        wrong.source().unwrap().to_string(),
        "invalid load report: eps is \"-1\", expected a number from 0"
    );
}

#[tokio::test]
async fn nobody_there_is_an_error_too() {
    // Bound, and not listening.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let address = Address::from(nobody.local_addr().unwrap());
    let error = probe("/load").oneshot(address).await.unwrap_err();
    assert!(matches!(error, LoadProbeError::NoResponse(_)), "{error:?}");
}

#[test]
fn what_is_no_path_is_refused() {
    for path in ["", "load", "/lo ad", "/load#x", "http://a/load"] {
        let expected = format!("invalid path {path:?}: expected a path, such as /healthz");
        let error = HttpLoadProbe::<_, Body>::new(http_client(), path).unwrap_err();
        assert_eq!(error.to_string(), expected);
        let layer = ReportLoadLayer::new(LoadMeter::new()).probe_path(path);
        assert_eq!(layer.unwrap_err().to_string(), expected);
    }
    let layer = ReportLoadLayer::new(LoadMeter::new()).probe_path("/load?now");
    let expected = "invalid path \"/load?now\": expected one without a query";
    assert_eq!(layer.unwrap_err().to_string(), expected);
}
