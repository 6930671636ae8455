//! What a client makes of a report that comes with a response.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use evenkeel::Balance;
use evenkeel::backend::{Event, Failure, Outcome};
use evenkeel::http::load_reports::{HEADER, read, take};
use evenkeel::http::{BalanceLayer, OnBodyEnd, Verdict, recommended};
use evenkeel::load::LoadReport;
use tower::{Layer, ServiceExt, service_fn};

use crate::setup::{Told, http_client, parrot, pool, say};

#[tokio::test]
async fn a_report_reaches_the_picker_before_the_head() {
    let told = Told::default();
    let layer = told.layer(&[("a", parrot().await)]);
    let client = layer.believe_load_reports(read).layer(http_client());
    for report in [
        "TEXT cpu_utilization=0.25, rps_fractional=100",
        r#"JSON {"cpu_utilization": 0.25, "rps_fractional": 100}"#,
    ] {
        let response = client.clone().oneshot(say(report.as_bytes())).await;
        let response = response.unwrap();
        // Read, and not taken out.
        assert_eq!(response.headers()[HEADER], report);
        let expected = LoadReport::new()
            .with_cpu_utilization(0.25)
            .with_requests_per_second(100.0);
        let events = told.take();
        assert!(
            matches!(events[..], [Event::Dispatched, Event::Reported(report), Event::Head { .. }] if report == expected),
            "{events:?}"
        );
        drop(response);
        told.take();
    }
}

#[tokio::test]
async fn nothing_is_believed_by_default() {
    let told = Told::default();
    let client = told.layer(&[("a", parrot().await)]).layer(http_client());
    let response = client.oneshot(say(b"TEXT cpu_utilization=0.25")).await;
    assert_eq!(
        response.unwrap().headers()[HEADER],
        "TEXT cpu_utilization=0.25"
    );
    let events = told.take();
    assert!(matches!(events[0], Event::Dispatched), "{events:?}");
    assert!(matches!(events[1], Event::Head { .. }), "{events:?}");
}

#[tokio::test]
async fn what_is_taken_the_caller_does_not_see() {
    let told = Told::default();
    let layer = told.layer(&[("a", parrot().await)]);
    let client = layer.believe_load_reports(take).layer(http_client());
    for (report, reports) in [
        ("TEXT cpu_utilization=0.25", 1),
        ("TEXT cpu_utilization=x", 0),
    ] {
        let response = client.clone().oneshot(say(report.as_bytes())).await;
        assert!(!response.unwrap().headers().contains_key(HEADER));
        assert_eq!(told.take_reports().len(), reports, "{report}");
    }
}

#[tokio::test]
async fn reports_that_are_not_valid_are_ignored_and_the_response_is_as_good() {
    let told = Told::default();
    let layer = told.layer(&[("a", parrot().await)]);
    let client = layer.believe_load_reports(read).layer(http_client());
    let long = format!("TEXT cpu_utilization=0.1{}", "0".repeat(100_000));
    for report in [
        b"TEXT cpu_utilization=NaN".as_slice(),
        b"TEXT cpu_utilization=inf",
        b"TEXT cpu_utilization=-1",
        b"TEXT cpu_utilization=0.5 and more",
        b"TEXT eps=1, cpu_utilization=1e999",
        b"JSON {\"cpu_utilization\": -1}",
        b"JSON {\"cpu_utilization\": 0.5}}",
        b"TEXT cpu_utilization=0.5, \xff=1",
        b"nothing of the kind",
        b"",
        long.as_bytes(),
    ] {
        let response = client.clone().oneshot(say(report)).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let reports = told.take_reports();
        assert_eq!(reports, [], "{}", String::from_utf8_lossy(report));
    }
}

#[tokio::test]
async fn ten_megabytes_are_ignored() {
    let told = Told::default();
    // No client takes so much over a connection.
    let client = service_fn(async |_request: Request<Body>| {
        let value = format!("TEXT eps=1{}", " ".repeat(10 << 20));
        let value = HeaderValue::try_from(value).unwrap();
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(HEADER, value);
        Ok::<_, std::io::Error>(response)
    });
    let layer = told.layer(&[("a", ([127, 0, 0, 1], 1).into())]);
    let client = layer.believe_load_reports(take).layer(client);
    let response = client.oneshot(say(b"")).await.unwrap();
    assert!(response.headers().is_empty());
    assert_eq!(told.take_reports(), []);
}

#[tokio::test]
async fn a_failed_response_reports_as_well_whatever_counts_as_a_failure() {
    let told = Told::default();
    let failed = |_head: &Response<()>| Verdict::Final(Outcome::Failure(Failure::Response));
    // Whichever comes first.
    let layers = [
        told.layer(&[("a", parrot().await)])
            .believe_load_reports(read)
            .classify(failed),
        told.layer(&[("a", parrot().await)])
            .classify(failed)
            .believe_load_reports(read),
    ];
    for layer in layers {
        let client = layer.layer(http_client());
        client.oneshot(say(b"TEXT eps=3")).await.unwrap();
        let events = told.take();
        assert!(
            matches!(
                events[1..3],
                [
                    Event::Reported(_),
                    Event::Head {
                        outcome: Outcome::Failure(_),
                        ..
                    }
                ]
            ),
            "{events:?}"
        );
    }
}

#[tokio::test]
async fn a_balance_of_services_believes_through_what_tracks_its_bodies() {
    fn queue_length(headers: &mut HeaderMap) -> Option<LoadReport> {
        let length = headers.remove("x-queue")?.to_str().ok()?.parse().ok()?;
        Some(LoadReport::new().with_in_flight(length))
    }
    let service = service_fn(async |_request: Request<Body>| {
        let response = Response::builder().header("x-queue", "7");
        Ok::<_, std::io::Error>(response.body(Body::empty()).unwrap())
    });
    let told = Told::default();
    let balance = Balance::new([evenkeel::Backend::new("a", service)], told.clone())
        .track(OnBodyEnd::new().believe_load_reports(queue_length));
    let response = balance.oneshot(say(b"")).await.unwrap();
    assert!(response.headers().is_empty());
    assert_eq!(told.take_reports(), [LoadReport::new().with_in_flight(7)]);
}

#[tokio::test]
async fn the_recommended_stack_believes_as_its_balance_does() {
    let told = Told::default();
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new());
    let layer = BalanceLayer::new(pool(&[("a", parrot().await)]), told.clone());
    let stack = recommended(layer.believe_load_reports(take).layer(client.build_http()));
    let response = stack.oneshot(say(b"TEXT eps=3")).await.unwrap();
    assert!(!response.headers().contains_key(HEADER));
    assert_eq!(
        told.take_reports(),
        [LoadReport::new().with_errors_per_second(3.0)]
    );
}
