//! That the traffic follows what backends report.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use evenkeel::http::BalanceLayer;
use evenkeel::http::load_reports::{HEADER, take};
use evenkeel::picker::ReportedWeightedRoundRobin;
use tower::{Layer, ServiceExt};

use crate::setup::{get, http_client, pool, serve};

async fn reporting(report: &'static str) -> SocketAddr {
    let app = Router::new().fallback(async move || ([(HEADER, report)], "hello"));
    serve(app).await
}

#[tokio::test]
async fn shares_are_those_of_the_reported_weights() {
    let servers = [
        (
            "a",
            reporting("TEXT rps_fractional=100, application_utilization=0.2").await,
        ),
        (
            "b",
            reporting("TEXT rps_fractional=100, application_utilization=0.6").await,
        ),
        (
            "c",
            reporting("JSON {\"rps_fractional\": 100, \"eps\": 20, \"cpu_utilization\": 0.2}")
                .await,
        ),
    ];
    let pool = pool(&servers);
    let picker = ReportedWeightedRoundRobin::starting_at(0)
        .blackout_period(Duration::ZERO)
        .weight_update_period(Duration::from_secs(3600))
        .unwrap();
    let client = BalanceLayer::new(pool.clone(), picker)
        .believe_load_reports(take)
        .layer(http_client());
    let shares = async |requests: usize| {
        let mut counts = BTreeMap::new();
        for _ in 0..requests {
            let response = client.clone().oneshot(get("/")).await.unwrap();
            let backend = response.into_body().backend().to_owned();
            *counts.entry(backend).or_insert(0usize) += 1;
        }
        counts.into_values().collect::<Vec<_>>()
    };
    // Nothing is known yet, and what comes is not put in before the hour is over.
    assert_eq!(shares(3).await, [1, 1, 1]);
    // A change of the set is the moment to put it in.
    pool.set_weight("a", 2);
    // 500, 167, 250.
    let counts = shares(110).await;
    let expected = [60, 20, 30];
    for (count, expected) in counts.iter().zip(expected) {
        assert!(count.abs_diff(expected) <= 2, "{counts:?}");
    }
}
