//! `BalanceLayer` around hyper-util's client, in the test's own process.

use std::error::Error;
use std::sync::Arc;

use evenkeel::backend::{BackendInfo, Failure};
use evenkeel::balance::Balance;
use evenkeel::http::{Address, BalanceLayer, OnBodyEnd, Via};
use evenkeel::picker::Algorithm;
use evenkeel::{Backend, Pool};
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::body::Bytes;
use tower::{Layer, ServiceExt};

use super::client::{Ask, HttpClient, counts, frame, http_client, request, text};
use super::server::{SLOW, Server, three};

type Client = Balance<Address, Request<Empty<Bytes>>, Via<HttpClient>, OnBodyEnd>;

fn pool(servers: &[Server], weights: &[u32]) -> Pool<Address> {
    let backends = servers.iter().zip(weights).map(|(server, &weight)| {
        let address = server.address.parse().expect("an address");
        Backend::new(server.address.as_str(), address).weight(weight)
    });
    backends.collect()
}

/// Prints the seed of all that is left to chance; `EVENKEEL_TEST_SEED` sets it.
fn client(algorithm: Algorithm, pool: &Pool<Address>) -> Client {
    let seed = std::env::var("EVENKEEL_TEST_SEED");
    let seed = seed.map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("EVENKEEL_TEST_SEED is a number"),
    );
    println!("EVENKEEL_TEST_SEED={seed}");
    BalanceLayer::new(pool.clone(), algorithm.picker())
        .seed(seed)
        .layer(http_client())
}

fn asking(client: Client) -> Ask {
    Arc::new(move || {
        let response = client.clone().oneshot(request("/"));
        Box::pin(async { text(response.await.expect("an answer")).await })
    })
}

fn in_flight(pool: &Pool<Address>) -> Vec<usize> {
    let list = pool.list();
    list.iter().map(BackendInfo::in_flight).collect()
}

/// How many of so many requests the slow server gets from eight clients; a third is its fair share.
async fn slow_ones_share(algorithm: Algorithm, requests: usize) -> Option<usize> {
    let servers = three(SLOW).await?;
    let client = client(algorithm, &pool(&servers, &[1, 1, 1]));
    let [a, b, slow] = counts(requests, 8, asking(client)).await;
    println!("{algorithm}: {a}, {b}, and {slow} for the slow server");
    Some(slow)
}

#[tokio::test]
async fn round_robin_gives_each_server_the_same_share() {
    let Some(servers) = three(0.0).await else {
        return;
    };
    let client = client(Algorithm::RoundRobin, &pool(&servers, &[1, 1, 1]));
    assert_eq!(counts(60, 6, asking(client)).await, [20, 20, 20]);
}

#[tokio::test]
async fn weighted_round_robin_gives_exactly_the_shares_of_the_weights() {
    let Some(servers) = three(0.0).await else {
        return;
    };
    let client = client(Algorithm::WeightedRoundRobin, &pool(&servers, &[3, 2, 1]));
    assert_eq!(counts(60, 6, asking(client)).await, [30, 20, 10]);
}

#[tokio::test]
async fn least_requests_without_load_gives_the_shares_of_the_weights() {
    let Some(servers) = three(0.0).await else {
        return;
    };
    let pool = pool(&servers, &[3, 2, 1]);
    // One client, so nothing is in flight at a pick: only the draw decides.
    let counts = counts(600, 1, asking(client(Algorithm::LeastRequests, &pool))).await;
    for (count, expected) in counts.into_iter().zip([300, 200, 100]) {
        // Five standard deviations, which are 12.2 for a half of 600 and less for the others.
        assert!(count.abs_diff(expected) <= 61, "{counts:?}");
    }
}

#[tokio::test]
async fn a_slow_server_gets_its_full_share_under_round_robin() {
    if let Some(slow) = slow_ones_share(Algorithm::RoundRobin, 60).await {
        assert_eq!(slow, 20);
    }
}

#[tokio::test]
async fn a_slow_server_gets_fewer_requests_under_least_requests() {
    if let Some(slow) = slow_ones_share(Algorithm::LeastRequests, 240).await {
        assert!((1..40).contains(&slow), "{slow}");
    }
}

#[tokio::test]
async fn a_slow_server_gets_fewer_requests_under_exact_least_requests() {
    if let Some(slow) = slow_ones_share(Algorithm::ExactLeastRequests, 240).await {
        assert!((1..40).contains(&slow), "{slow}");
    }
}

#[tokio::test]
async fn a_slow_server_gets_fewer_requests_under_least_response_time() {
    if let Some(slow) = slow_ones_share(Algorithm::LeastResponseTime, 240).await {
        assert!((1..40).contains(&slow), "{slow}");
    }
}

#[tokio::test]
async fn a_stream_counts_as_in_flight_until_it_ends() {
    let Some(servers) = three(0.0).await else {
        return;
    };
    let pool = pool(&servers, &[1, 1, 1]);
    let client = client(Algorithm::Ordered, &pool);

    let mut response = client.oneshot(request("/held")).await.expect("an answer");
    assert_eq!(response.body().backend(), servers[0].address);
    assert_eq!(frame(&mut response).await, "begin\n");
    assert_eq!(in_flight(&pool), [1, 0, 0]);

    servers[0].release().await;
    assert_eq!(text(response).await, "end\n");
    assert_eq!(in_flight(&pool), [0, 0, 0]);
}

#[tokio::test]
async fn a_stream_that_is_dropped_is_no_longer_in_flight() {
    let Some(servers) = three(0.0).await else {
        return;
    };
    let pool = pool(&servers, &[1, 1, 1]);
    let client = client(Algorithm::Ordered, &pool);

    let mut response = client.oneshot(request("/held")).await.expect("an answer");
    assert_eq!(frame(&mut response).await, "begin\n");
    assert_eq!(in_flight(&pool), [1, 0, 0]);
    drop(response);
    assert_eq!(in_flight(&pool), [0, 0, 0]);
}

#[tokio::test]
async fn servers_with_open_streams_get_no_requests_while_another_has_none() {
    let Some(servers) = three(0.0).await else {
        return;
    };
    let pool = pool(&servers, &[1, 1, 1]);
    let client = client(Algorithm::ExactLeastRequests, &pool);

    let first = client.clone().oneshot(request("/held")).await;
    let second = client.clone().oneshot(request("/held")).await;
    let free = in_flight(&pool).iter().position(|&n| n == 0);
    let free = free.expect("two streams leave one server");

    let counts = counts(20, 1, asking(client)).await;
    assert_eq!(counts[free], 20, "{counts:?}");
    drop((first, second));
}

#[tokio::test]
async fn a_stopped_server_gives_an_error_that_names_it() {
    let Some(mut servers) = three(0.0).await else {
        return;
    };
    let client = client(Algorithm::RoundRobin, &pool(&servers, &[1, 1, 1]));
    let [_, _, stopped] = &mut servers;
    stopped.stop().await;

    let mut errors = Vec::new();
    for _ in 0..6 {
        errors.extend(client.clone().oneshot(request("/")).await.err());
    }
    assert_eq!(errors.len(), 2, "{errors:?}");
    for error in errors {
        assert_eq!(error.backend(), Some(&*stopped.address));
        assert_eq!(
            error.to_string(),
            format!("backend {} failed", stopped.address)
        );
        assert_eq!(error.failure(), Some(Failure::Connect));
        assert!(error.source().is_some());
    }
}

#[tokio::test]
async fn a_server_that_stops_within_a_stream_is_no_longer_in_flight() {
    let Some(mut servers) = three(0.0).await else {
        return;
    };
    let pool = pool(&servers, &[1, 1, 1]);
    let client = client(Algorithm::Ordered, &pool);

    let mut response = client.oneshot(request("/held")).await.expect("an answer");
    assert_eq!(frame(&mut response).await, "begin\n");
    servers[0].stop().await;
    assert!(response.into_body().collect().await.is_err());
    assert_eq!(in_flight(&pool), [0, 0, 0]);
}
